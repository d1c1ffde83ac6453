//! The program lets its pages go before it ends.

#[cfg(unix)]
#[test]
fn it_leaves_in_order() {
    app_parts::trial::leaves_in_order(env!("CARGO_BIN_EXE_custom-adapter"), "/", false);
}

#[cfg(unix)]
#[test]
fn it_goes_on_when_it_cannot_accept() {
    app_parts::trial::stands_a_crowd(env!("CARGO_BIN_EXE_custom-adapter"));
}
