//! The program lets its pages go before it ends.

#[cfg(unix)]
#[test]
fn it_leaves_in_order() {
    app_parts::trial::leaves_in_order(env!("CARGO_BIN_EXE_gallery"), "/", false);
}
