//! The rules that what is shared from here is held to, and the noise that its budget pays.

use std::path::Path;

use chorus_core::{
    privacy::{
        Anonymiser, Limits,
        ledger::Budget,
        noise::{Neighbours, plan},
        pseudonym::{EpochLength, NodeSecret},
        range::Anonymity,
        scrub::{Policy, Salt, Scrubber},
    },
    release::{NoiseWish, Outgoing, Prepared, Rules, prepare},
};
use zeroize::Zeroizing;

use crate::{
    cmd::{
        Failure,
        keys::{now, open_soon, rng},
    },
    store::{LedgerFile, Seeds, StoreError},
};

/// The rules for `network`: with the secrets in `dir`, or new ones for this once.
///
/// # Errors
/// The ledger's file is not usable, or the system has no randomness.
pub(crate) async fn rules(
    dir: Option<&Path>,
    network: &str,
    max_bytes: u64,
) -> Result<Rules, Failure> {
    let (secret, salt) = match dir {
        Some(dir) => {
            let file = open_ledger(dir).await?;
            // What cannot be noted is not to leave.
            file.journal()?;
            file.secrets()?
        }
        None => {
            let seeds = seeds()?;
            let mut secret = Zeroizing::new([0; 32]);
            secret.copy_from_slice(&seeds[..32]);
            let mut salt = Zeroizing::new([0; 32]);
            salt.copy_from_slice(&seeds[32..]);
            (NodeSecret::from_bytes(*secret), Salt::from_bytes(*salt))
        }
    };
    let epoch = EpochLength::default().epoch_of(now());
    Ok(Rules {
        scrubber: Scrubber::new(Policy::default(), salt),
        anonymiser: Anonymiser::new(secret.pseudonyms(network, epoch)),
        anonymity: Anonymity::default(),
        published: Vec::new(),
        limits: Limits {
            max_text: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            max_elements: max_bytes / 4,
            max_bytes,
            ..Limits::default()
        },
        budget: Budget::default(),
    })
}

/// Takes `outgoing` through all stages. Noise is paid from the budget in `dir`, or only looked at where `is_preview`: the
/// numbers of a preview do not leave, and those that leave are drawn anew.
///
/// # Errors
/// As [`prepare`], and where the budget does not allow the noise: nothing was spent then.
pub(crate) async fn prepared(
    outgoing: Outgoing,
    rules: &Rules,
    dir: Option<&Path>,
    is_preview: bool,
) -> Result<Prepared, Failure> {
    let mut rng = rng()?;
    let (
        Some(NoiseWish {
            noise_multiplier, ..
        }),
        Some(dir),
    ) = (outgoing.noise, dir)
    else {
        return Ok(prepare(outgoing, rules, None, &mut rng)?);
    };
    let mechanism = plan(noise_multiplier, Neighbours::Absent, 1.0)?;
    let file = open_ledger(dir).await?;
    // For nothing at first: what is refused for another reason is not to cost anything.
    let mut trial = file.ledger()?;
    let mut grant = match trial.reserve(mechanism, 1) {
        Ok(reservation) => reservation.stored(),
        Err(error) => return Err(crate::store::SpendError::from(error).into()),
    };
    let tried = prepare(outgoing.clone(), rules, Some(&mut grant), &mut rng)?;
    if is_preview {
        return Ok(tried);
    }
    drop(tried);
    let mut grant = file.reserve(mechanism)?;
    drop(file);
    Ok(prepare(outgoing, rules, Some(&mut grant), &mut rng)?)
}

/// Opens the ledger's file, which other processes hold for milliseconds.
///
/// # Errors
/// The file is not usable, in use for long, damaged or foreign.
pub(crate) async fn open_ledger(dir: &Path) -> Result<LedgerFile, StoreError> {
    let seeds = seeds().map_err(|error| StoreError::Io {
        path: dir.to_path_buf(),
        source: std::io::Error::other(error.to_string()),
    })?;
    open_soon(|| LedgerFile::open(dir, &seeds)).await
}

fn seeds() -> Result<Seeds, Failure> {
    let mut seeds = Zeroizing::new([0; 64]);
    getrandom::fill(seeds.as_mut_slice())
        .map_err(|error| Failure::Failed(format!("randomness: {error}")))?;
    Ok(seeds)
}
