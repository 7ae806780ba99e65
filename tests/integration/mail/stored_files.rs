//! A file on the server is missing, or a bit of it is another one (FT-11).

use std::path::PathBuf;

use accord::tickets::attachments;

use crate::support::desk::{Desk, Letter};

fn path_of(desk: &Desk, hash: &str) -> PathBuf {
    let mut folders = vec![desk.test.app.config.data.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() == hash {
                return entry.path();
            }
        }
    }
    panic!("{hash} is nowhere");
}

#[actix_web::test]
async fn ft_11_a_file_that_is_missing_or_damaged_is_said_to_be_and_everything_else_is_there() {
    for is_missing in [true, false] {
        let desk = Desk::open();
        let body = "--b\r\n\r\nVoir le fichier.\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\
                    Content-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF-1.7 what it says\r\n--b--\r\n";
        let letter =
            Letter::from("claire@acme.example").header("Content-Type", "multipart/mixed; boundary=b").text(body);
        desk.receive(&letter);
        let file = desk.test.read(|db| attachments::of_ticket(db, &desk.ticket())).remove(0);
        let path = path_of(&desk, &file.content_hash);
        let whole = std::fs::read(&path).unwrap();
        if is_missing {
            std::fs::remove_file(&path).unwrap();
        } else {
            let mut damaged = whole.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 1;
            std::fs::write(&path, damaged).unwrap();
        }
        let reference = desk.ticket().reference;
        let download = format!("/attachments/{}", file.handle);
        for reader in [desk.zoe, desk.claire] {
            let reader = desk.test.signed_in(reader).await;
            let is_agent = reader.get(&format!("/tickets/{reference}")).await.status == 200;
            let page = if is_agent { format!("/tickets/{reference}") } else { format!("/requests/{reference}") };
            reader.get(&page).await.assert_status(200).assert_says("Voir le fichier.").assert_says("a.pdf");
            reader.get(&download).await.assert_status(503).assert_says("absent ou abîmé sur le serveur");
        }
        let anne = desk.test.signed_in(desk.administrator).await;
        anne.get("/admin/status").await.assert_says("Un fichier demandé est absent ou abîmé");
        assert_eq!(desk.test.app.storage.damaged(), 1);

        // Given back from a backup, it is as before.
        std::fs::write(&path, whole).unwrap();
        let zoe = desk.test.signed_in(desk.zoe).await;
        zoe.get(&download).await.assert_status(200).assert_says("what it says");
        assert_eq!(desk.test.app.storage.damaged(), 0);
    }
}
