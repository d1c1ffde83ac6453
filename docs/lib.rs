//! Every piece of Rust in the book and in the README is compiled: as a doctest, or as a copy of what stands in a file here.

pub mod own_server;
pub mod shutdown;

macro_rules! chapters {
    ($($name:ident => $path:literal),* $(,)?) => {
        $(
            #[doc = include_str!($path)]
            pub mod $name {}
        )*
    };
}

chapters! {
    readme => "../README.md",
    mount => "src/mount.md",
    pages => "src/pages.md",
    render => "src/render.md",
    widgets => "src/widgets.md",
    scripts => "src/scripts.md",
    sessions => "src/sessions.md",
    delivery => "src/delivery.md",
    connections => "src/connections.md",
    cleanup => "src/cleanup.md",
    behaviours => "src/behaviours.md",
    cluster => "src/cluster.md",
    limits => "src/limits.md",
    faults => "src/faults.md",
}

#[cfg(test)]
mod tests {
    /// Every line of Rust or JavaScript in a chapter stands in one of these files, block by block.
    fn is_copied_from(chapter: &str, files: &[&str]) {
        let mut blocks = 0;
        let rust = chapter.split("```rust\n").skip(1);
        for block in rust.chain(chapter.split("```js\n").skip(1)) {
            let (block, _) = block.split_once("```").unwrap();
            assert!(files.iter().any(|file| file.contains(block)), "stands in no file:\n{block}");
            blocks += 1;
        }
        assert!(blocks > 0);
    }

    #[test]
    fn own_server_shows_what_is_compiled() {
        is_copied_from(
            include_str!("src/own-server.md"),
            &[
                include_str!("own_server.rs"),
                include_str!("own_server/actix.rs"),
                include_str!("own_server/axum.rs"),
                include_str!("own_server/hyper.rs"),
                include_str!("own_server/warp.rs"),
            ],
        );
    }

    #[test]
    fn shutdown_shows_what_is_compiled() {
        is_copied_from(
            include_str!("src/shutdown.md"),
            &[
                include_str!("shutdown.rs"),
                include_str!("../examples/actix-app/src/main.rs"),
                include_str!("../examples/app-parts/src/stop.rs"),
                include_str!("../examples/axum-app/src/main.rs"),
                include_str!("../examples/warp-app/src/main.rs"),
            ],
        );
    }

    #[test]
    fn transports_shows_what_is_compiled() {
        is_copied_from(
            include_str!("src/transports.md"),
            &[
                include_str!("../examples/long-poll/src/connection.rs"),
                include_str!("../examples/long-poll/src/page.js"),
                include_str!("../examples/long-poll/src/routes.rs"),
                include_str!("../examples/two-process/src/app.rs"),
                include_str!("../examples/two-process/src/front.rs"),
                include_str!("../examples/two-process/src/link.rs"),
                include_str!("../examples/webrtc/src/lib.rs"),
                include_str!("../examples/webrtc/src/page.js"),
                include_str!("../examples/webrtc/src/peer.rs"),
            ],
        );
    }

    #[test]
    fn adapter_shows_what_is_compiled() {
        is_copied_from(
            include_str!("src/adapter.md"),
            &[
                include_str!("../examples/custom-adapter/src/adapter.rs"),
                include_str!("../examples/custom-adapter/src/framework.rs"),
                include_str!("../examples/custom-adapter/tests/conformance.rs"),
            ],
        );
    }

    /// Where the tests that a chapter names are, by the first word of their file.
    fn file_of(test: &str) -> String {
        let root = env!("CARGO_MANIFEST_DIR");
        match test.split_once('/') {
            Some(("core", file)) => format!("{root}/../bonito-core/tests/{file}.rs"),
            Some(("unit", file)) => format!("{root}/../bonito-core/src/{file}.rs"),
            Some(("websocket", file)) => format!("{root}/../adapters/websocket/tests/{file}.rs"),
            Some((adapter @ ("actix" | "axum" | "warp"), file)) => {
                format!("{root}/../adapters/{adapter}/tests/{file}.rs")
            }
            Some(("client", file)) => format!("{root}/../bonito-core/client/test/{file}.test.ts"),
            Some(("browser", file)) => format!("{root}/../tests/browser/specs/{file}.spec.ts"),
            Some(("book", file)) => format!("{root}/tests/{file}.rs"),
            Some(("simulation", file)) => format!("{root}/../tests/simulation/tests/{file}.rs"),
            Some(("testkit", file)) => format!("{root}/../tests/conformance/tests/{file}.rs"),
            Some(("nats", file)) => format!("{root}/../adapters/nats/tests/{file}.rs"),
            Some(("chat", file)) => format!("{root}/../examples/chat/tests/{file}.rs"),
            _ if test == "connection kit" => format!("{root}/../tests/conformance/src/connection.rs"),
            _ if test == "cluster kit" => format!("{root}/src/cluster.md"),
            _ if test == "kit" => format!("{root}/src/conformance.md"),
            _ => panic!("nobody says where {test} is"),
        }
    }

    fn names_tests_that_exist(chapter: &str, least: usize) {
        let names = chapter.split('`').filter_map(|code| code.split_once(" › "));
        let mut count = 0;
        for (file, name) in names {
            let path = file_of(file);
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let found = match file.split('/').next() {
                Some(
                    "actix" | "axum" | "book" | "chat" | "core" | "nats" | "simulation" | "testkit" | "unit"
                    | "warp" | "websocket",
                ) => text.contains(&format!("fn {name}(")),
                Some("connection kit") => text.split_whitespace().any(|word| word == name),
                Some("kit" | "cluster kit") => text.contains(&format!("| {name} |")),
                _ => text.contains(&format!("\"{name}\"")) || text.contains(&format!("`{name}`")),
            };
            assert!(found, "{path} has no test {name:?}");
            count += 1;
        }
        assert!(count > least, "{count}");
    }

    #[test]
    fn compatibility_names_tests_that_exist() {
        names_tests_that_exist(include_str!("src/compatibility.md"), 100);
    }

    #[test]
    fn delivery_names_tests_that_exist() {
        names_tests_that_exist(include_str!("src/delivery.md"), 80);
    }

    #[test]
    fn behaviours_names_tests_that_exist() {
        names_tests_that_exist(include_str!("src/behaviours.md"), 70);
    }

    #[test]
    fn cluster_names_tests_that_exist() {
        names_tests_that_exist(include_str!("src/cluster.md"), 50);
    }

    /// Each field has a row that names it.
    #[test]
    fn limits_names_every_field() {
        let chapter = include_str!("src/limits.md");
        let fields = include_str!("../bonito-core/src/limits.rs").lines().filter_map(|line| {
            let (name, _) = line.strip_prefix("    pub ")?.split_once(": ")?;
            Some(name)
        });
        let mut count = 0;
        for name in fields {
            assert!(
                chapter.lines().any(|line| line.starts_with("| ") && line.contains(&format!("`{name}`"))),
                "limits.md does not name {name}"
            );
            count += 1;
        }
        assert!(count > 20, "{count}");
    }
}
