//! Every connection that is here does what connections must do.

#![allow(clippy::unwrap_used, reason = "tests expect")]

mod far {
    pub(crate) mod memory;
    pub(crate) mod sockets;
}

mod in_memory {
    use super::far::memory::memory;

    bonito_testkit::connection_conformance!(memory);
}

mod websocket {
    use super::far::sockets::single;

    bonito_testkit::connection_conformance!(single);
}

mod dual_websocket {
    use super::far::sockets::dual;

    bonito_testkit::connection_conformance!(dual);
}

#[test]
fn the_book_has_every_case() {
    let chapter = include_str!("../../../docs/src/connections.md");
    for (case, why) in bonito_testkit::CONNECTION_CASES {
        let row = format!("| {} | {} |", case.replace('_', " "), why.trim());
        assert!(chapter.contains(&row), "docs/src/connections.md misses:\n{row}");
    }
}
