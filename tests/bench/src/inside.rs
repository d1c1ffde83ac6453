//! The cases inside one process.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use bonito_core::proto::value::RawValue;
use bonito_core::{DefaultCleanupPolicy, Endpoint, Limits, Observable, TypedArray, js};

use crate::options::Options;
use crate::process::{resident, thread_cpu};
use crate::report::{INSIDE, Report, Unit};

pub(crate) fn run(report: &mut Report, options: &Options) -> io::Result<()> {
    for _ in 0..options.pairs {
        held(report, options.scale(20_000, 100))?;
    }
    for _ in 0..options.pairs {
        arrays(report, options.scale(2000, 10));
        tear_down(report, options.scale(200, 4));
    }
    sweep(report, options)
}

fn add(report: &mut Report, case: &str, unit: Unit, variant: &str, figure: f64) {
    report.add(case, INSIDE, unit, variant, figure);
}

/// CPU time of a run in µs.
fn micros(run: impl FnOnce()) -> f64 {
    let before = thread_cpu();
    run();
    (thread_cpu() - before).as_secs_f64() * 1e6
}

/// What a session holds by itself, its page handed out.
fn held(report: &mut Report, sessions: usize) -> io::Result<()> {
    let live = Endpoint::builder("/live").build();
    let count = Observable::new(0);
    let before = resident("self")?;
    for _ in 0..sessions {
        let session = live.session();
        let _html = session.page("", "");
    }
    let each = (resident("self")? - before) / sessions as f64;
    add(report, "an empty session: memory", Unit::Kibibytes, "sessions", each);
    let before = resident("self")?;
    for _ in 0..sessions {
        let session = live.session();
        let _html = session.page("", format!("{} {}", session.text(&count), session.on_click(|| {})));
    }
    let each = (resident("self")? - before) / sessions as f64;
    add(report, "a session with a text and a button: memory", Unit::Kibibytes, "sessions", each);
    // What is freed here would be had again by the next round, whose figure were too small then.
    std::mem::forget(live);
    Ok(())
}

/// 64 KiB of numbers, against copying the same bytes. In turn, since both depend on where the allocator puts them.
fn arrays(report: &mut Report, turns: usize) {
    let samples = vec![1.0f32; 16_384];
    let array = TypedArray::from(samples.clone());
    let (mut copying, mut encoding) = (0.0, 0.0);
    for _ in 0..10 {
        copying += micros(|| (0..turns / 10).for_each(|_| _ = black_box(black_box(&samples).clone())));
        encoding +=
            micros(|| (0..turns / 10).for_each(|_| _ = black_box(RawValue::encode(black_box(&array)))));
    }
    let case = "encoding 64 KiB of Float32, against memcpy";
    add(report, case, Unit::Micros, "raw", copying / turns as f64);
    add(report, case, Unit::Micros, "sessions", encoding / turns as f64);
}

fn tear_down(report: &mut Report, count: usize) {
    let live = Endpoint::builder("/live").build();
    let observables: Vec<_> = (0..100).map(Observable::new).collect();
    let sessions: Vec<_> = (0..count)
        .map(|_| {
            let session = live.session();
            for observable in &observables {
                session.on_js(observable, js!("() => {}"));
            }
            let _html = session.page("", "");
            session
        })
        .collect();
    let used = micros(|| sessions.iter().for_each(|session| session.close()));
    let case = "closing a session with 100 observables: CPU";
    add(report, case, Unit::Micros, "sessions", used / count as f64);
}

/// A million sessions in the table and none of them due: what a second of cleanup costs.
fn sweep(report: &mut Report, options: &Options) -> io::Result<()> {
    let count = options.scale(1_000_000, 1000);
    let mut limits = Limits::default();
    limits.sessions = count + 1;
    let mut policy = DefaultCleanupPolicy::default();
    policy.render_time = Duration::from_secs(3600);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let live = Endpoint::builder("/live").limits(limits).cleanup_policy(policy).build();
    runtime.block_on(async {
        let sessions: Vec<_> = (0..count).map(|_| live.session()).collect();
        let window = Duration::from_millis(options.scale(1000, 20) as u64);
        tokio::time::sleep(window / 10).await;
        for _ in 0..options.pairs {
            let before = thread_cpu();
            tokio::time::sleep(window).await;
            let used = (thread_cpu() - before).as_secs_f64() * 1e3 / window.as_secs_f64();
            add(report, "a second of cleanup, 1,000,000 sessions: CPU", Unit::Millis, "sessions", used);
        }
        drop(sessions);
    });
    // Taking a million sessions down is not measured here.
    std::mem::forget(live);
    Ok(())
}
