//! An app of the framework, with a live page in it.
//!
//! `cargo run -p custom-adapter`, then open the address it prints. `--port N` chooses the port, 0 is any free one.

use std::process::ExitCode;

use app_parts::{GRACE, told_to_stop};
use bonito_core::{Endpoint, Observable};
use custom_adapter::adapter;
use custom_adapter::framework::{self, Answer, App, Response};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("custom-adapter: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let port: u16 = match (words.next().as_deref(), words.next()) {
        (None, _) => 3000,
        (Some("--port"), Some(port)) => port.parse()?,
        _ => return Err("usage: custom-adapter [--port N]".into()),
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    announce(&format!("http://{}", listener.local_addr()?));
    serve(listener, &Endpoint::builder("/live").build()).await
}

async fn serve(listener: TcpListener, live: &Endpoint) -> Result<(), Box<dyn std::error::Error>> {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(framework::serve(listener, app(live), async { _ = stopped.await }));
    told_to_stop().await;
    drop(stop);
    let (served, _) = tokio::join!(timeout(GRACE, server), live.drain(GRACE));
    if let Ok(served) = served {
        served??;
    }
    Ok(())
}

fn app(live: &Endpoint) -> App {
    let (live, routes) = (live.clone(), adapter::handler(live));
    App::new()
        .at("/", move |_| std::future::ready(page(&live)))
        .at("/app.css", |_| std::future::ready(style()))
        .under("/live/", routes)
}

fn page(live: &Endpoint) -> Answer {
    let session = live.session();
    let celsius = Observable::new(20.0_f64);
    let fahrenheit = celsius.map(|celsius| format!("{:.0} °F", celsius * 1.8 + 32.0));
    let shown = celsius.map(|celsius| format!("{celsius:.0} °C"));
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Degrees</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"/app.css\">{head}\
         <header class=\"bar\"><div class=\"bar-in\"><span class=\"brand\">custom-adapter</span>\
         <span class=\"connection\"></span></div></header>\
         <main><div class=\"intro\"><h1>Degrees</h1><p>Served by a framework of its own, through an adapter of fifty lines.</p></div>\
         <div class=\"live above\"><section class=\"panel\"><output class=\"figure\">{fahrenheit}</output>\
         <div class=\"control\"><label for=\"degrees\">Celsius</label>\
         <input id=\"degrees\" type=\"range\" min=\"-40\" max=\"120\" {slider}><output>{shown}</output></div>\
         </section></div></main></html>",
        head = session.head(),
        fahrenheit = session.text(&fahrenheit),
        slider = session.on_input(&celsius),
        shown = session.text(&shown),
    );
    Answer::Respond(Response::html(html).header("cache-control", b"no-store"))
}

fn style() -> Answer {
    let sheet = include_str!("../../axum-app/static/app.css");
    Answer::Respond(Response::new(200).header("content-type", b"text/css; charset=utf-8").body(sheet))
}

#[expect(clippy::print_stdout, reason = "the address is what this program has to say")]
fn announce(address: &str) {
    println!("{address}");
}
