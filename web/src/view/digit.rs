//! Whose each digit is: what this tab trains on, what the other tabs do, and what nobody here has seen.

use chorus_core::learner::CLASSES;

use super::{format, state::LearnerView};

/// Who holds a digit, as far as this tab knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// This tab, whoever else.
    Mine,
    /// Another tab that is connected.
    Others,
    /// Nobody who is connected: no tab here learns to read it.
    Nobody,
    /// Not known before this tab has chosen its own.
    Unknown,
}

/// What the legend explains, in its order.
pub const HOLDERS: [Holder; 3] = [Holder::Mine, Holder::Others, Holder::Nobody];

impl Holder {
    /// Returns the class, also used in `data-holder`.
    pub fn class(self) -> &'static str {
        match self {
            Self::Mine => "mine",
            Self::Others => "others",
            Self::Nobody => "nobody",
            Self::Unknown => "open",
        }
    }

    /// Returns who it is, in plain words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mine => "this tab",
            Self::Others => "other tabs",
            Self::Nobody => "nobody here",
            Self::Unknown => "not known yet",
        }
    }
}

/// Returns the holder of each digit, 0 first.
pub fn holders(learner: &LearnerView) -> impl Iterator<Item = (u8, Holder)> {
    let (own, others) = (learner.own, learner.others);
    (0..CLASSES).map(move |digit| {
        let holder = match () {
            () if own.contains(digit) => Holder::Mine,
            () if others.contains(digit) => Holder::Others,
            () if own.is_empty() => Holder::Unknown,
            () => Holder::Nobody,
        };
        (digit, holder)
    })
}

/// Says which digits the tabs hold between them, and what that means for how well they read.
pub fn coverage(learner: &LearnerView) -> String {
    let (own, others) = (learner.own, learner.others);
    if !learner.is_ready {
        return "Fetching the handwritten digits that this tab will learn from.".into();
    }
    if own.is_empty() && learner.is_running {
        return "Finding out which digits the other tabs hold, to take some that they lack.".into();
    }
    if own.is_empty() {
        return "This tab takes some of the digits when it starts to learn.".into();
    }
    let held = own.union(others);
    let missing: Vec<u8> = (0..CLASSES)
        .filter(|&digit| !held.contains(digit))
        .collect();
    if missing.is_empty() {
        return "The tabs here hold all ten digits between them, so each can learn to read them all.".into();
    }
    let (missing, most) = (format::digits(&missing), held.len() * 10);
    let more = match (others.is_empty(), held.len()) {
        (true, _) => "Open this page in another tab: it takes some that are missing.",
        (false, ..9) => "Another tab would take some that are missing.",
        (false, _) => "Another tab would take it.",
    };
    format!("Nobody here holds {missing}, so reading stops near {most}\u{202f}%. {more}")
}

/// Says what this tab trains on, and how far it came.
pub fn progress(learner: &LearnerView) -> String {
    let own = format::digits(&learner.own.iter().collect::<Vec<_>>());
    match (learner.exchanges, learner.is_running) {
        _ if learner.own.is_empty() => String::new(),
        (0, false) => {
            format!("This tab holds examples of {own} and nothing else. Learning is paused.")
        }
        (0, true) => format!(
            "This tab holds examples of {own} and nothing else. As soon as others are here, it learns from them."
        ),
        (1, _) => format!(
            "This tab holds examples of {own} only. It has exchanged once with the others so far."
        ),
        (n, _) => format!(
            "This tab holds examples of {own} only; what else it reads it learned from others, in {n} exchanges. \
             Measured on digits that no tab has ever trained on."
        ),
    }
}

/// Says what noise hides, and what of the budget is spent.
pub fn privacy(learner: &LearnerView) -> String {
    let Some(epsilon) = learner.epsilon.filter(|_| learner.is_private) else {
        return String::new();
    };
    let spent = format!("ε = {epsilon:.1} of {BUDGET:.0} is spent");
    if learner.was_open {
        // What left before can be joined with what leaves now.
        format!(" What it shares now has noise ({spent}). Before, this browser shared without.")
    } else if epsilon < BUDGET * 0.99 {
        format!(" What it shares has noise that hides every single example: {spent}.")
    } else {
        format!(
            " What it shares has noise that hides every single example. {spent}, so it trains no more on its own and \
             still learns from the others."
        )
    }
}

/// ε that private learning may spend. Source: the core's default budget.
const BUDGET: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn learner(own: &[u8], others: &[u8]) -> LearnerView {
        LearnerView {
            is_ready: true,
            is_running: true,
            own: own.into(),
            others: others.into(),
            ..LearnerView::default()
        }
    }

    fn shown(learner: &LearnerView) -> Vec<&'static str> {
        holders(learner).map(|(_, holder)| holder.class()).collect()
    }

    #[test]
    fn every_digit_is_mine_or_others_or_nobodys() {
        let some = learner(&[0, 3], &[3, 9]);
        let mut expected = vec!["nobody"; 10];
        (expected[0], expected[3], expected[9]) = ("mine", "mine", "others");
        assert_eq!(shown(&some), expected);
    }

    #[test]
    fn before_this_tab_has_chosen_nothing_is_called_nobodys() {
        let mut expected = vec!["open"; 10];
        assert_eq!(shown(&learner(&[], &[])), expected);
        expected[4] = "others";
        assert_eq!(shown(&learner(&[], &[4])), expected);
    }

    #[test]
    fn says_what_is_missing_how_far_reading_comes_and_what_helps() {
        assert_eq!(
            coverage(&learner(&[0, 1, 2], &[])),
            "Nobody here holds 3, 4, 5, 6, 7, 8 and 9, so reading stops near 30\u{202f}%. \
             Open this page in another tab: it takes some that are missing."
        );
        assert_eq!(
            coverage(&learner(&[0, 1, 2], &[2, 3, 4, 5, 6, 7, 8])),
            "Nobody here holds 9, so reading stops near 90\u{202f}%. Another tab would take it."
        );
        assert!(
            coverage(&learner(&[0], &[1]))
                .ends_with("Another tab would take some that are missing.")
        );
        let all: Vec<u8> = (3..10).collect();
        assert!(coverage(&learner(&[0, 1, 2], &all)).contains("all ten"));
    }

    #[test]
    fn says_what_it_waits_for() {
        assert!(coverage(&LearnerView::default()).starts_with("Fetching"));
        let choosing = learner(&[], &[1]);
        assert!(coverage(&choosing).starts_with("Finding out"));
        let paused = LearnerView {
            is_running: false,
            ..choosing
        };
        assert!(coverage(&paused).starts_with("This tab takes"));
    }

    #[test]
    fn says_how_far_it_came_once_it_holds_digits() {
        assert_eq!(progress(&learner(&[], &[1])), "");
        let mut view = learner(&[0, 7], &[]);
        assert!(
            progress(&view)
                .starts_with("This tab holds examples of 0 and 7 and nothing else. As soon")
        );
        view.is_running = false;
        assert!(progress(&view).ends_with("Learning is paused."));
        view.exchanges = 1;
        assert!(progress(&view).contains("exchanged once"));
        view.exchanges = 42;
        assert!(
            progress(&view).contains(
                "0 and 7 only; what else it reads it learned from others, in 42 exchanges."
            )
        );
    }

    #[test]
    fn says_what_privacy_has_cost() {
        let mut tab = learner(&[1], &[2]);
        tab.epsilon = Some(2.04);
        assert_eq!(privacy(&tab), "");
        tab.is_private = true;
        assert!(privacy(&tab).ends_with("hides every single example: ε = 2.0 of 8 is spent."));
        tab.epsilon = Some(7.9975);
        assert!(privacy(&tab).contains("trains no more on its own"));
        // No promise where the same digits have left without noise.
        tab.was_open = true;
        assert!(!privacy(&tab).contains("every single example"));
    }
}
