//! What stands around the pages: head, navigation, flash, foot. Each part is a template of its own, compiled once; as
//! blocks of the shells they would be compiled anew into each of some hundred pages.

use askama::Template;

use crate::web::page::Page;

macro_rules! part {
    ($(#[$doc:meta])* $method:ident, $name:ident, $path:literal) => {
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> {
            p: &'a Page,
        }

        impl Page {
            $(#[$doc])*
            pub fn $method(&self) -> impl std::fmt::Display {
                $name { p: self }
            }
        }
    };
}

part!(
    /// The desk's head and navigation, for `layout/desk.html`.
    desk_head, DeskHead, "layout/desk_head.html"
);
part!(
    /// What the keyboard opens, for `layout/desk.html`.
    desk_foot, DeskFoot, "layout/desk_foot.html"
);
part!(
    /// The portal's head, for `layout/portal.html`.
    portal_head, PortalHead, "layout/portal_head.html"
);
part!(
    /// What the last action has to say; nothing otherwise.
    flash_notice, FlashNotice, "layout/flash.html"
);
part!(
    /// Languages and the links of the foot, for what customers see.
    foot, Foot, "layout/foot.html"
);
