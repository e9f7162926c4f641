//! The privacy pipeline's order, proven by programs that do not compile (`tests/stages`, one wrong order each, with what
//! the compiler says of it). The right order is the example in `chorus_core::privacy`.
//!
//! The programs are checked against `chorus-core` alone, offline; the compiler's words are those of the toolchain that
//! `rust-version` names, and `TRYBUILD=overwrite` rewrites them for another.

#[test]
fn stages_in_the_wrong_order_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("stages/wrong_*.rs");
}
