//! What a node does before anything leaves it: the stages of [`privacy`](crate::privacy) over a file or a text, and
//! sealing, with a preview that the owner sees first.
//!
//! [`prepare`] takes an [`Outgoing`] through all stages and answers with a [`Prepared`]: the bytes that would leave, and a
//! [`Preview`] that says what was taken out, what was dropped, which noise was added and who can read it. Then
//! [`Prepared::into_open`] is for everybody, [`Prepared::seal`] for those with a key. What left is noted in a [`Journal`].
//!
//! What it does not do: it stores and sends nothing, and asks nobody. Content that is neither text nor of a format that
//! it reads leaves as it is, and the preview says so ([`Preview::is_searched`]).

mod error;
mod format;
mod instruction;
mod journal;
mod outgoing;
mod prepare;
mod prepared;
mod preview;
mod published;
mod reader;
pub mod sealing;

#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod tests;

pub use self::error::ReleaseError;
pub use self::format::Format;
pub use self::journal::{Entry, Journal, JournalError, MAX_ENTRIES, MAX_JOURNAL_JSON};
pub use self::outgoing::{NoiseWish, Outgoing, Rules};
pub use self::prepare::prepare;
pub use self::prepared::{Open, Prepared, SealedRelease};
pub use self::preview::{
    Dropped, Found, MAX_DROPPED, MAX_FOUND, Measured, NoiseShown, Preview, Readers,
};
pub use self::published::rows;
