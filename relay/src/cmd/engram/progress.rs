//! A bar on standard error, where that is a terminal.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// How far a command is.
pub(super) struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    start: Instant,
    /// When to draw next; `None` where nobody looks.
    next: Option<Instant>,
}

impl Progress {
    /// Starts at nothing of `total` bytes.
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let start = Instant::now();
        Self {
            what,
            total,
            done: 0,
            start,
            next: stderr().is_terminal().then_some(start),
        }
    }

    /// Adds `bytes` that are done, and draws the bar some times a second.
    pub(super) fn add(&mut self, bytes: usize) {
        self.done += bytes as u64;
        let now = Instant::now();
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + PERIOD);
            let line = line(self.what, (self.done, self.total), now - self.start);
            // Only a picture: what counts is the result.
            let _ = write!(stderr(), "\r{line}").and_then(|()| stderr().flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.next.is_some() {
            let _ = write!(stderr(), "\r{:width$}\r", "", width = WIDTH + 60);
        }
    }
}

/// Draws one line: bar, share, speed, time that is left.
fn line(what: &str, (done, total): (u64, u64), elapsed: Duration) -> String {
    let share = if total == 0 {
        1.0
    } else {
        (done as f64 / total as f64).min(1.0)
    };
    let full = (share * WIDTH as f64) as usize;
    let bar = "#".repeat(full) + &".".repeat(WIDTH - full);
    let secs = elapsed.as_secs_f64().max(1e-3);
    let speed = done as f64 / secs;
    let left = if speed > 0.0 {
        (total.saturating_sub(done)) as f64 / speed
    } else {
        0.0
    };
    format!(
        "{what} [{bar}] {:3.0} % {:6.1} MB/s {left:4.0} s left",
        share * 100.0,
        speed / 1e6
    )
}

/// Characters of the bar.
const WIDTH: usize = 30;
/// Time between two pictures. Guess: what an eye can follow.
const PERIOD: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_share_speed_and_time_left() {
        let half = line(
            "packing",
            (500_000_000, 1_000_000_000),
            Duration::from_secs(5),
        );
        assert_eq!(
            half,
            "packing [###############...............]  50 %  100.0 MB/s    5 s left"
        );
        assert!(line("packing", (0, 0), Duration::ZERO).contains("100 %"));
        assert!(line("packing", (9, 3), Duration::ZERO).contains("100 %"));
    }
}
