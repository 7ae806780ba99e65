//! The pages that agents live in, in process, from the queries to the HTML: `cargo bench --bench in_process`.
//! `ACCORD_BENCH_TICKETS=1000,100000,1000000` says with how many tickets.

use std::hint::black_box;

use crate::desk::{self, Desk};
use accord::access::Actor;
use accord::db::paging::PAGE_SIZE;
use accord::i18n::{Locale, Texts};
use accord::keys::Keys;
use accord::notifications::Letterhead;
use accord::search::{self, SearchQuery};
use accord::tickets::listing::View;
use accord::web::agent::{queue, ticket as ticket_page};
use accord::web::page::Page;
use criterion::{BenchmarkId, Criterion};

fn page(desk: &Desk) -> Page {
    Page::bare(Texts::in_language(Locale::Fr), desk.now, "Tickets", "L’éditeur")
}

fn letterhead() -> Letterhead {
    Letterhead {
        keys: Keys::ephemeral().for_mail(),
        dkim: [].into(),
        reply_domain: "desk.example".to_owned(),
        base_url: "https://desk.example".to_owned(),
    }
}

pub fn pages(criterion: &mut Criterion) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement is told its sizes; the program reads no variable here"
    )]
    let sizes = std::env::var("ACCORD_BENCH_TICKETS").unwrap_or_else(|_| "1000,100000".to_owned());
    let mut group = criterion.benchmark_group("pages");
    for size in sizes.split(',').filter_map(|size| size.trim().parse::<usize>().ok()) {
        let desk = desk::at(desk::kept(size));
        for (who, staff) in [("supervisor", &desk.supervisor), ("agent of two queues", &desk.agent)] {
            for view in [View::WaitingForUs, View::All] {
                let name = format!("queue page, {view}, {who}");
                group.bench_function(BenchmarkId::new(name, size), |bencher| {
                    bencher.iter(|| {
                        let loaded = desk.database.read_now(|db| queue::load(db, staff, view, None, None));
                        black_box(queue::render(page(&desk), loaded.expect("a page"), view))
                    });
                });
            }
        }
        let actor = Actor::Staff(desk.supervisor.clone());
        let letterhead = letterhead();
        group.bench_function(BenchmarkId::new("ticket page with 50 messages", size), |bencher| {
            bencher.iter(|| {
                let loaded = desk.database.read_now(|db| ticket_page::load(db, &letterhead, &actor, &desk.long, false));
                black_box(ticket_page::render(page(&desk), loaded.expect("a page"), desk.supervisor.person))
            });
        });
        // The desks beyond have no messages.
        if size > 100_000 {
            continue;
        }
        let agent = Actor::Staff(desk.agent.clone());
        for (who, actor) in [("supervisor", &actor), ("agent of two queues", &agent)] {
            for asked in
                ["balance", "imprimante facture", "\"écran imprimante\"", "org:\"Client 7\" serveur", "redémarrez"]
            {
                let query = SearchQuery::parse(asked);
                group.bench_function(BenchmarkId::new(format!("search, {asked}, {who}"), size), |bencher| {
                    bencher.iter(|| {
                        let found = desk.database.read_now(|db| search::search(db, actor, &query, None, PAGE_SIZE));
                        black_box(found.expect("a page").rows.len())
                    });
                });
            }
        }
    }
    group.finish();
}
