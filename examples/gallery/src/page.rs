//! The page: each widget, and beside them what Rust holds.

use bonito_core::widgets::{
    self, Button, Checkbox, Column, Dropdown, FileInput, NumberField, RangeSlider, Slider, Table, TextField,
};
use bonito_core::{Fragment, Observable, Page, Session};

use crate::greenhouse::{Crop, Greenhouse};
use crate::readings::{Reading, readings};

/// Largest file that is taken.
const MOST_BYTES: u64 = 8 << 20;

pub(crate) fn render(session: &Session, nonce: &str) -> String {
    let house = Greenhouse::new();
    let body = format!(
        "<header><p class=\"kicker\">Greenhouse</p><h1>{name}</h1>\
         <p>Every control below is a value in Rust. There is no JavaScript of this app's own.</p></header>\
         <main>{settings}{state}{upload}{table}</main>",
        name = session.text(&house.name),
        settings = settings(session, &house),
        state = state(session, &house),
        upload = upload(session),
        table = table(session),
    );
    Page::new("Greenhouse")
        .nonce(nonce)
        .head(widgets::style().nonce(nonce))
        .head("<link rel=\"stylesheet\" href=\"/gallery.css\">")
        .render(session, body)
}

fn settings(session: &Session, house: &Greenhouse) -> String {
    let nameless = house.name.map(|name| name.trim().is_empty().then(|| "It needs a name.".to_owned()));
    let cannot_save = nameless.map(Option::is_some);
    let dry = house.watering.map(|on| !on);
    let saved = Observable::new(String::new());

    let (now, told) = (house.clone(), saved.clone());
    let save = move || told.set(format!("Saved {} with {} plants.", now.name.get(), now.plants.get()));
    let (first, told) = (house.clone(), saved.clone());
    let reset = move || {
        first.reset();
        told.set("Everything is as it was.".to_owned());
    };

    let crops = [Crop::Tomatoes, Crop::Cucumbers, Crop::Basil].map(|crop| (crop, crop.to_string()));
    let plants = [
        TextField::new(&house.name).label("Name").max_length(40).error(&nameless).render(session),
        Dropdown::new(&house.crop, crops).label("Crop").render(session),
        NumberField::new(&house.plants).range(1..=500).label("Plants").help("From 1 to 500.").render(session),
        TextField::new(&house.notes)
            .lines(3)
            .label("Notes")
            .placeholder("Anything the next shift should know")
            .render(session),
    ];
    let climate = [
        Slider::new(&house.temperature, 5.0..=35.0)
            .step(0.5)
            .unit(" °C")
            .label("Temperature")
            .render(session),
        RangeSlider::new(&house.humidity, 0..=100).unit(" %").label("Humidity").render(session),
        Checkbox::new(&house.watering).label("Water every day").render(session),
        Slider::new(&house.minutes, 0..=60)
            .unit(" min")
            .label("Watering time")
            .disabled(&dry)
            .render(session),
    ];
    let buttons = [
        Button::new("Save").primary().on_click(save).disabled(&cannot_save).render(session),
        Button::new("Reset").on_click(reset).render(session),
    ];
    format!(
        "<section class=\"settings\" aria-labelledby=\"settings\"><h2 id=\"settings\">Settings</h2>\
         <div class=\"columns\"><div>{}</div><div>{}</div></div>\
         <div class=\"actions\">{}<p role=\"status\" id=\"saved\">{}</p></div></section>",
        joined(&plants),
        joined(&climate),
        joined(&buttons),
        session.text(&saved),
    )
}

fn state(session: &Session, house: &Greenhouse) -> String {
    let humidity = house.humidity.map(|(from, to)| format!("({from}, {to})"));
    let rows = [
        ("name", session.text(&house.name.map(|name| format!("{name:?}")))),
        ("crop", session.text(&house.crop)),
        ("plants", session.text(&house.plants)),
        ("notes", session.text(&house.notes.map(|notes| format!("{notes:?}")))),
        ("temperature", session.text(&house.temperature.map(|celsius| format!("{celsius:.1}")))),
        ("humidity", session.text(&humidity)),
        ("watering", session.text(&house.watering)),
        ("minutes", session.text(&house.minutes)),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, text)| format!("<div><dt>{name}</dt><dd id=\"rust-{name}\">{text}</dd></div>"))
        .collect();
    format!(
        "<section class=\"state\" aria-labelledby=\"state\"><h2 id=\"state\">In Rust</h2><dl>{rows}</dl></section>"
    )
}

fn upload(session: &Session) -> String {
    let progress = Observable::new(0.0);
    let result = Observable::new("No log yet.".to_owned());
    let told = result.clone();
    let input = FileInput::new()
        .label("Log of a sensor")
        .help("A .csv file of at most 8 MiB. It comes over the same connection as everything else.")
        .accept(".csv")
        .max_bytes(MOST_BYTES)
        .progress(&progress)
        .on_file(move |file| {
            let lines = file.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
            told.set(format!("{}: {} bytes, {lines} lines", file.name, file.bytes.len()));
        })
        .render(session);
    format!(
        "<section class=\"upload\" aria-labelledby=\"upload\"><h2 id=\"upload\">Upload</h2>{input}\
         <dl><div><dt>progress</dt><dd id=\"rust-progress\">{}</dd></div><div><dt>file</dt><dd id=\"rust-file\">{}</dd></div></dl></section>",
        session.text(&progress.map(|part| format!("{:.0} %", part * 100.0))),
        session.text(&result),
    )
}

fn table(session: &Session) -> String {
    let rows = Observable::new(readings(5_000));
    let table = Table::new(
        &rows,
        [
            Column::number("No.", |reading: &Reading| reading.number.into()),
            Column::new("Bed", |reading: &Reading| reading.bed),
            Column::new("Time", |reading: &Reading| reading.time.clone()),
            Column::number("Temperature", |reading: &Reading| reading.celsius)
                .show(|reading| format!("{:.1} °C", reading.celsius)),
            Column::number("Humidity", |reading: &Reading| reading.humidity)
                .show(|reading| format!("{} %", reading.humidity)),
        ],
    );
    format!(
        "<section class=\"readings\" aria-labelledby=\"readings\"><h2 id=\"readings\">Readings</h2>{}</section>",
        table.caption("What the sensors said").sortable().page_rows(10).render(session)
    )
}

fn joined(fragments: &[Fragment]) -> String {
    fragments.iter().map(ToString::to_string).collect()
}
