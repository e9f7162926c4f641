//! Replacing keys: our own secrets, and the newest certificates of others.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::time::Duration;

use super::MAX_SECRETS;
use super::certificate::{KeyCertificate, Recipient, Validity};
use super::error::SealKeyError;
use super::key::SealSecret;
use crate::bounds::LimitError;
use crate::key::{Keypair, PeerId};
use crate::time::Timestamp;

/// Our own secrets: the newest, which is certified, and older ones that still open what is under way.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    /// In order of epochs.
    secrets: Vec<(SealSecret, Validity)>,
}

impl Keyring {
    /// Time that a key is valid: 30 days. Guess.
    pub const LIFE: Duration = Duration::from_secs(30 * 86_400);
    /// Time before the end of a key's life at which a new one is due: 10 days. Guess: others must hear of the new one.
    pub const RENEWAL: Duration = Duration::from_secs(10 * 86_400);
    /// Time after the end of its validity for which a secret still opens: 30 days. Source: `packet::MAX_TTL_SECS`, the
    /// longest life of a packet sealed at the last moment.
    pub const OVERLAP: Duration = Duration::from_secs(30 * 86_400);

    /// Starts without a secret.
    pub const fn new() -> Self {
        Self {
            secrets: Vec::new(),
        }
    }

    /// Takes back what [`Keyring::entries`] gave to storage.
    ///
    /// # Errors
    /// [`SealKeyError::Limit`] for more than [`MAX_SECRETS`].
    pub fn restore(
        entries: impl IntoIterator<Item = (SealSecret, Validity)>,
    ) -> Result<Self, SealKeyError> {
        let mut secrets: Vec<_> = entries.into_iter().take(MAX_SECRETS + 1).collect();
        LimitError::check_len("sealing secrets", secrets.len(), MAX_SECRETS)?;
        secrets.sort_by_key(|(_, validity)| validity.epoch);
        Ok(Self { secrets })
    }

    /// Returns every secret with its validity, oldest first, to be stored.
    pub fn entries(&self) -> impl Iterator<Item = (&SealSecret, &Validity)> {
        self.secrets
            .iter()
            .map(|(secret, validity)| (secret, validity))
    }

    /// Returns the newest secret of those that open at `now`, with its validity.
    pub fn newest(&self, now: Timestamp) -> Option<(&SealSecret, &Validity)> {
        let mut newest_first = self.secrets.iter().rev();
        newest_first
            .find(|(_, validity)| is_open(validity, now))
            .map(|(secret, validity)| (secret, validity))
    }

    /// Tells whether a new key is due: none opens at `now`, or the newest that does ends within [`Keyring::RENEWAL`].
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.newest(now)
            .is_none_or(|(_, validity)| validity.until <= now.saturating_add(Self::RENEWAL))
    }

    /// Makes `secret` the newest, valid from `now` for [`Keyring::LIFE`], and returns its certificate, to be published.
    ///
    /// The epoch is the time in seconds, or one more than the last: whoever lost its keyring is still ahead of what
    /// others remember. Erases what [`Keyring::forget_expired`] does; where there is no room otherwise, the oldest of those
    /// that open nothing at `now` goes too.
    ///
    /// # Errors
    /// [`SealKeyError::Limit`] for a network's name that is too long, or for more than [`MAX_SECRETS`] secrets that
    /// still open something.
    pub fn rotate(
        &mut self,
        secret: SealSecret,
        identity: &Keypair,
        network: &str,
        now: Timestamp,
    ) -> Result<KeyCertificate, SealKeyError> {
        self.forget_expired(now);
        if self.secrets.len() >= MAX_SECRETS
            && let Some(oldest) = (self.secrets.iter()).position(|(_, v)| !is_open(v, now))
        {
            self.secrets.remove(oldest);
        }
        LimitError::check_len("sealing secrets", self.secrets.len() + 1, MAX_SECRETS)?;
        let last = self.secrets.last().map(|(_, validity)| validity.epoch);
        let validity = Validity {
            epoch: (now.as_millis() / 1000).max(last.map_or(0, |epoch| epoch.saturating_add(1))),
            from: now,
            until: now.saturating_add(Self::LIFE),
        };
        let certificate = KeyCertificate::issue(identity, network, secret.public(), validity)?;
        self.secrets.push((secret, validity));
        Ok(certificate)
    }

    /// Returns the secrets that open at `now`, newest first: until [`Keyring::OVERLAP`] after the end of their validity.
    pub fn secrets(&self, now: Timestamp) -> impl Iterator<Item = &SealSecret> {
        self.secrets
            .iter()
            .rev()
            .filter(move |(_, validity)| is_open(validity, now))
            .map(|(secret, _)| secret)
    }

    /// Erases the secrets that open nothing any more; returns how many. The newest always stays.
    ///
    /// A clock that is ahead for a while must not cost what is sealed, so `now` counts only where keys followed each other
    /// up to it without a gap, for at least [`Keyring::OVERLAP`]: a jump that the newest key outlives costs no more than
    /// what would have ended meanwhile. After a gap (this ran nowhere, or the clock jumped further) what counts is when
    /// the newest key that is as old as that was made.
    pub fn forget_expired(&mut self, now: Timestamp) -> usize {
        let Some(certain) = self.certain_time(now) else {
            return 0;
        };
        let before = self.secrets.len();
        self.secrets
            .retain(|(_, validity)| is_open(validity, certain));
        before - self.secrets.len()
    }

    /// Returns the latest time that has come even if the clock has jumped to `now`; `None` where all keys are too new.
    fn certain_time(&self, now: Timestamp) -> Option<Timestamp> {
        let is_settled = |from| now.saturating_duration_since(from) >= Self::OVERLAP;
        let mut since = now;
        for (_, validity) in self.secrets.iter().rev() {
            if since < validity.from || validity.until < since {
                break;
            }
            since = validity.from;
        }
        if is_settled(since) {
            return Some(now);
        }
        // In order of epochs: a key that was made while the clock was ahead has a later one beside it.
        let mut starts = self.secrets.iter().rev().map(|(_, validity)| validity.from);
        starts.find(|from| is_settled(*from))
    }
}

fn is_open(validity: &Validity, now: Timestamp) -> bool {
    now < validity.until.saturating_add(Keyring::OVERLAP)
}

/// The newest certificate of each of a bounded number of others.
#[derive(Clone, Debug)]
pub struct Directory {
    certificates: BTreeMap<PeerId, KeyCertificate>,
    max: usize,
}

impl Directory {
    /// Starts empty, with room for `max` identities.
    pub const fn new(max: usize) -> Self {
        Self {
            certificates: BTreeMap::new(),
            max,
        }
    }

    /// Keeps a verified certificate; returns whether it is news. Where there is no room, expired ones make it.
    ///
    /// # Errors
    /// [`SealKeyError::Epoch`] where another with this epoch or a later one is known; [`SealKeyError::Limit`] where
    /// there is no room.
    pub fn insert(
        &mut self,
        certificate: KeyCertificate,
        now: Timestamp,
    ) -> Result<bool, SealKeyError> {
        let identity = certificate.identity();
        if !self.certificates.contains_key(&identity) && self.certificates.len() >= self.max {
            self.certificates
                .retain(|_, known| now < known.validity().until);
            let needed = self.certificates.len().saturating_add(1);
            LimitError::check_len("identities with a key certificate", needed, self.max)?;
        }
        match self.certificates.entry(identity) {
            Entry::Vacant(vacant) => {
                vacant.insert(certificate);
            }
            Entry::Occupied(mut known) => {
                if *known.get() == certificate {
                    return Ok(false);
                }
                let (got, known_epoch) =
                    (certificate.validity().epoch, known.get().validity().epoch);
                if got <= known_epoch {
                    return Err(SealKeyError::Epoch {
                        identity,
                        known: known_epoch,
                        got,
                    });
                }
                known.insert(certificate);
            }
        }
        Ok(true)
    }

    /// Returns the recipient that content for `identity` may be sealed to at `now`.
    ///
    /// # Errors
    /// [`SealKeyError::Unknown`], and those of [`KeyCertificate::recipient`].
    pub fn recipient(&self, identity: PeerId, now: Timestamp) -> Result<Recipient, SealKeyError> {
        self.certificates
            .get(&identity)
            .ok_or(SealKeyError::Unknown { identity })?
            .recipient(now)
    }

    /// Forgets what is known of `identity`; returns whether there was something.
    pub fn forget(&mut self, identity: PeerId) -> bool {
        self.certificates.remove(&identity).is_some()
    }
}
