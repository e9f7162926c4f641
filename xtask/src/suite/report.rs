//! Keeps of what a test runner prints the part that says why tests failed, so that it can be read again at the end of the run.

/// Lines kept of one runner. Guess: twenty failures with what the page's console said.
const LINES: usize = 600;

/// Why tests of one runner failed, in the runner's words.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<String>,
    is_open: bool,
}

impl Report {
    /// Reads a line, which may begin or end such a part.
    ///
    /// Understood: libtest's, from `failures:` to `test result: …`, and that of `node --test` in its spec form, from
    /// `✖ failing tests:` to the next test or figure.
    pub(crate) fn read_line(&mut self, line: &str) {
        self.is_open = match line {
            "failures:" | "✖ failing tests:" => true,
            _ if ["test result: ", "✔ ", "ℹ ", "▶ "]
                .iter()
                .any(|end| line.starts_with(end)) =>
            {
                false
            }
            _ => self.is_open,
        };
        if self.is_open && self.lines.len() < LINES {
            self.lines.push(line.to_owned());
        }
    }

    /// Returns the lines in the order in which they came, at most 600.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES, Report};

    fn report(output: &str) -> Vec<String> {
        let mut report = Report::default();
        output.lines().for_each(|line| report.read_line(line));
        report.into_lines()
    }

    #[test]
    fn what_libtest_says_of_failures_is_kept() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\nleft: 1\n\n\
            failures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed\n\nrunning 1 test\ntest c ... ok\n";
        assert_eq!(
            report(output),
            [
                "failures:",
                "",
                "---- b stdout ----",
                "left: 1",
                "",
                "failures:",
                "    b",
                ""
            ]
        );
    }

    #[test]
    fn what_node_says_of_failures_is_kept_until_its_next_run_begins() {
        let output = "✔ joins (8ms)\n✖ leaves (9ms)\nℹ pass 1\nℹ fail 1\n\n✖ failing tests:\n\ntest at a.mjs:3:1\n\
            ✖ leaves (9ms)\n  AssertionError: 285 ms\n✔ stays (1ms)\nℹ pass 1\n";
        assert_eq!(
            report(output),
            [
                "✖ failing tests:",
                "",
                "test at a.mjs:3:1",
                "✖ leaves (9ms)",
                "  AssertionError: 285 ms"
            ]
        );
    }

    #[test]
    fn where_all_pass_nothing_is_kept_and_a_flood_is_bounded() {
        assert!(
            report("✔ joins (8ms)\nℹ pass 1\ntest result: ok. 5 passed; 0 failed\n").is_empty()
        );
        assert_eq!(
            report(&format!("failures:\n{}", "x\n".repeat(9_999))).len(),
            LINES
        );
    }
}
