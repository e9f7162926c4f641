//! Finds personal and proprietary information in text, and takes it out as a policy says.
//!
//! One pass reads the text as a person does (look-alikes, invisible characters, escapes) and marks tokens that
//! are worth a closer look; each is then held against hand-written rules with bounded windows. Check digits
//! and words nearby raise a finding's confidence; a plain number without either does not count. Linear time, no regular
//! expressions. English, German, French and Spanish; the identity numbers of forty countries.
//!
//! What it does not do: it understands no sentence. A name that is neither common nor announced passes.

mod account;
mod address;
mod checksum;
mod date;
mod fold;
mod format;
mod home;
mod identity;
mod name;
mod network;
mod number;
mod phone;
mod policy;
mod scan;
mod secret;
mod side_car;
mod text;
mod vocabulary;
mod wallet;

#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Range;

pub use policy::{Action, Policy, Salt, ScrubError, ScrubbedText, Scrubber};
pub use scan::Scan;
pub use side_car::{JsonFinding, MAX_DEPTH, ScrubbedJson};

/// What kind of information a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A telephone or fax number.
    Phone,
    /// An international bank account number.
    Iban,
    /// A payment card's number.
    Card,
    /// A bank account or routing number that is no IBAN.
    BankAccount,
    /// A number that a state gives to a person or company: identity, tax, insurance, health.
    NationalId,
    /// The number of a passport, identity card, driving licence or vehicle.
    Document,
    /// An IPv4 or IPv6 address.
    IpAddress,
    /// A MAC address.
    MacAddress,
    /// A URL with a user's name or password.
    CredentialUrl,
    /// An API key, token or password.
    Secret,
    /// A private key in PEM.
    PrivateKey,
    /// The address of a crypto wallet.
    Wallet,
    /// A path that contains a user's name.
    UserPath,
    /// A date of birth.
    BirthDate,
    /// A postal address, or a part of one that finds the rest.
    Address,
    /// A person's name.
    PersonName,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Email,
        Self::Phone,
        Self::Iban,
        Self::Card,
        Self::BankAccount,
        Self::NationalId,
        Self::Document,
        Self::IpAddress,
        Self::MacAddress,
        Self::CredentialUrl,
        Self::Secret,
        Self::PrivateKey,
        Self::Wallet,
        Self::UserPath,
        Self::BirthDate,
        Self::Address,
        Self::PersonName,
    ];

    /// Returns the kind's name, lower-case letters with underscores, as reports and masks write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Iban => "iban",
            Self::Card => "card",
            Self::BankAccount => "bank_account",
            Self::NationalId => "national_id",
            Self::Document => "document",
            Self::IpAddress => "ip_address",
            Self::MacAddress => "mac_address",
            Self::CredentialUrl => "credential_url",
            Self::Secret => "secret",
            Self::PrivateKey => "private_key",
            Self::Wallet => "wallet",
            Self::UserPath => "user_path",
            Self::BirthDate => "birth_date",
            Self::Address => "address",
            Self::PersonName => "person_name",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Personal or proprietary information in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// The kind more closely: the country's number, the issuer of a key.
    pub label: &'static str,
    /// Bytes of the original text; on character boundaries where the text is UTF-8.
    pub span: Range<usize>,
    /// How sure it is, in percent.
    pub confidence: u8,
}

/// A finding in folded text.
#[derive(Clone)]
struct Candidate {
    kind: Kind,
    label: &'static str,
    start: usize,
    end: usize,
    confidence: u8,
}
