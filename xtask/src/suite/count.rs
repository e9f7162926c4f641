//! Reads how many tests passed and failed from what a test runner prints.

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed, were cancelled, or never ended.
    pub(crate) failed: u64,
}

impl Count {
    /// Returns the number of tests that ran.
    pub(crate) fn total(self) -> u64 {
        self.passed + self.failed
    }

    /// Adds `other` to this count.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Adds what one line of a runner's output says; most lines say nothing.
    ///
    /// Understood: libtest's `test result: ok. 2 passed; 0 failed; …` and the summary of `node --test`, in its spec
    /// (`ℹ pass 2`) and TAP (`# pass 2`) forms.
    pub(crate) fn read_line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            let (_, counts) = result.split_once(". ").unwrap_or_default();
            for count in counts.split("; ") {
                match count.split_once(' ') {
                    Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                    Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                    _ => {}
                }
            }
        } else if let Some(count) = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# ")) {
            match count.trim_end().split_once(' ') {
                Some(("pass", number)) => self.passed += number.parse().unwrap_or(0),
                Some(("fail" | "cancelled", number)) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Count;

    fn count(output: &str) -> Count {
        let mut count = Count::default();
        output.lines().for_each(|line| count.read_line(line));
        count
    }

    #[test]
    fn libtest_results_add_up() {
        let output = "running 3 tests\ntest a ... ok\n\n\
            test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.00s\n";
        assert_eq!(
            count(output),
            Count {
                passed: 7,
                failed: 1
            }
        );
    }

    #[test]
    fn node_summaries_are_read_in_both_forms() {
        let spec = "✔ joins (812ms)\nℹ tests 4\nℹ suites 1\nℹ pass 2\nℹ fail 1\nℹ cancelled 1\nℹ skipped 0\n";
        assert_eq!(
            count(spec),
            Count {
                passed: 2,
                failed: 2
            }
        );
        let tap = "ok 1 - joins\n# tests 2\n# pass 2\n# fail 0\n# cancelled 0\n";
        assert_eq!(
            count(tap),
            Count {
                passed: 2,
                failed: 0
            }
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(
            count("test pass 3 ... ok\n# passengers 9\nℹ duration_ms 81\ntest result: \n"),
            Count::default()
        );
    }
}
