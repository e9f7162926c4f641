//! What happens to data before it leaves a node: five stages, in an order that the types enforce.
//!
//! | from | step | to | what it does |
//! |---|---|---|---|
//! | [`Draft`] | [`Raw::new`] | [`Raw`] | bounds, shapes, names, finite numbers |
//! | [`Raw`] | [`Raw::scrub`] | [`Scrubbed`] | personal information leaves texts and names: [`scrub`] |
//! | [`Scrubbed`] | [`Scrubbed::anonymise`] | [`Anonymous`] | [pseudonyms](pseudonym), epochs, classes; embedded entries dropped |
//! | [`Anonymous`] | [`Anonymous::generalise`] | [`Generalised`] | [ranges](range) with k-anonymity; tensors clipped and [noised](noise) |
//! | [`Generalised`] | [`Generalised::validate`] | [`Validated`] | every check once more, with its figure |
//! | [`Validated`] | [`Validated::seal_with`] | [`Sealed`] | bytes from a function of the caller, which is to encrypt |
//!
//! Only a [`Validated`] is for everybody, only a [`Sealed`] for somebody. Every step consumes the stage before it; one that
//! refuses gives it back in [`Refused`].
//!
//! The noise of tensors is paid from a [`ledger`] before it is drawn, at the price that the [`accountant`] tells.
//!
//! What it does not do: it stores nothing, so the caller keeps the ledger and its last sequence number; it does not know
//! what a text means, so facts in free prose ("our clinic has 1,500 patients") pass stage 3; identifiers of less than
//! [`MIN_IDENTIFIER`] bytes, or spelled differently than in the draft but for the case of ASCII letters, stay in texts;
//! differential privacy holds for tensors and not for texts.
//!
//! ```
//! use chorus_core::digest::Digest;
//! use chorus_core::privacy::ledger::{Budget, Ledger};
//! use chorus_core::privacy::noise::{ClipNorm, Neighbours, plan};
//! use chorus_core::privacy::pseudonym::{EpochLength, NodeSecret};
//! use chorus_core::privacy::range::Anonymity;
//! use chorus_core::privacy::scrub::{Policy, Salt, Scrubber};
//! use chorus_core::privacy::{Anonymiser, Draft, Expected, Generaliser, Limits, Raw, Tensor};
//! use chorus_core::time::Timestamp;
//! use rand_chacha::ChaCha20Rng;
//! use rand_core::SeedableRng;
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let weights = Tensor { name: "hidden".into(), shape: vec![2, 2], data: vec![0.1, -0.2, 0.3, 0.4] };
//! let notes = ("notes".into(), "Ask ada@example.org".into());
//! let draft = Draft { tensors: vec![weights], texts: [notes].into(), ..Draft::default() };
//! let scrubber = Scrubber::new(Policy::default(), Salt::from_bytes([5; 32]));
//! let mut scrub = |name: Option<&str>, text: &str| scrubber.clean(name, text);
//! let today = EpochLength::default().epoch_of(Timestamp::from_millis(1_795_233_600_000));
//! let secret = NodeSecret::from_bytes([7; 32]);
//!
//! let mut ledger = Ledger::new(Digest::sha256(b"main/digits"), Budget::default())?;
//! let reservation = ledger.reserve(plan(4.0, Neighbours::Absent, 1.0)?, 1)?;
//! // … store reservation.bytes(), then:
//! let mut grant = reservation.stored();
//!
//! let how = Generaliser {
//!     published: &[],
//!     anonymity: Anonymity::default(),
//!     clip_norm: ClipNorm::new(1.0)?,
//!     keep_largest: None,
//! };
//! let mut rng = ChaCha20Rng::from_seed([9; 32]); // in earnest: seeded by the system's generator
//! let validated = Raw::new(draft, &Limits::default())?
//!     .scrub(&mut scrub)?
//!     .anonymise(&Anonymiser::new(secret.pseudonyms("main", today)))
//!     .generalise(&how, Some(&mut grant), &mut rng)?
//!     .validate(&Expected::default(), &mut scrub)?;
//! assert!(validated.report().is_met());
//! assert_eq!(validated.parts().texts["notes"], "Ask [email]");
//! assert!(validated.parts().quality["privacy.epsilon"] < 1.1);
//! # Ok(())
//! # }
//! ```

pub mod accountant;
mod desk;
pub mod discrete;
mod draft;
mod environment;
mod error;
mod known;
pub mod ledger;
mod names;
pub mod noise;
pub mod pseudonym;
pub mod range;
pub mod scrub;
mod stage;
mod validate;

pub use self::desk::{Change, Clean, Scrub};
pub use self::draft::{Draft, Embedded, Limits, Refused, Tensor};
pub use self::environment::{OTHER, Trait};
pub use self::error::PrivacyError;
pub use self::known::MIN_IDENTIFIER;
pub(crate) use self::names::Names;
pub use self::stage::{
    Anonymiser, Anonymous, Generalised, Generaliser, Parts, Raw, Scrubbed, Sealed, Validated,
};
pub use self::validate::{Check, Declared, DeclaredTensor, Expected, Report, Side};
