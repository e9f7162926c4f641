use alloc::string::ToString;

use proptest::prelude::*;

use super::*;

fn scope() -> Digest {
    Digest::sha256(b"main/digits")
}

fn ledger() -> Ledger {
    Ledger::new(scope(), Budget::default()).unwrap()
}

/// Noise of 8 sensitivities: about ε 0.6 a release.
fn mechanism() -> Mechanism {
    Mechanism::new(8 << 20, 1 << 20, 1.0).unwrap()
}

#[test]
fn a_release_past_the_budget_is_refused_and_changes_nothing() {
    let mut ledger = ledger();
    let allowed = ledger.releases_left(&mechanism()).unwrap();
    assert!(allowed > 10);
    for _ in 0..allowed {
        let grant = ledger.reserve(mechanism(), 1).unwrap().stored();
        assert_eq!(grant.spent(), ledger.spent().unwrap());
    }
    assert_eq!(ledger.releases_left(&mechanism()), Ok(0));
    let before = ledger.clone();
    let error = ledger.reserve(mechanism(), 1).unwrap_err();
    assert!(matches!(error, LedgerError::Exhausted { epsilon, budget: 8.0, .. } if epsilon > 8.0));
    assert_eq!(ledger, before);
    assert!(ledger.spent().unwrap().epsilon <= 8.0);
}

#[test]
fn steps_booked_together_cost_what_they_cost_one_by_one() {
    let (mut together, mut apart) = (ledger(), ledger());
    together.reserve(mechanism(), 20).unwrap().stored();
    for _ in 0..20 {
        apart.reserve(mechanism(), 1).unwrap().stored();
    }
    assert_eq!(together.spent(), apart.spent());
    assert_eq!((together.sequence(), apart.sequence()), (1, 20));
}

#[test]
fn different_mechanisms_add_up() {
    let mut ledger = ledger();
    ledger.reserve(mechanism(), 3).unwrap().stored();
    let alone = ledger.spent().unwrap().epsilon;
    let sampled = Mechanism::new(1 << 20, 1 << 20, 0.01).unwrap();
    ledger.reserve(sampled, 100).unwrap().stored();
    assert!(ledger.spent().unwrap().epsilon > alone);
    let releases: Vec<_> = ledger.releases().collect();
    assert_eq!(releases, [(sampled, 100), (mechanism(), 3)]);
}

#[test]
fn a_stored_ledger_goes_on_where_it_was() {
    let mut ledger = ledger();
    let reservation = ledger.reserve(mechanism(), 5).unwrap();
    let restored = Ledger::from_bytes(reservation.bytes(), scope(), 1).unwrap();
    assert_eq!(restored, ledger);
    assert_eq!(restored.to_bytes(), reservation.bytes());
}

/// What a crash between storing and releasing leaves behind counts the release that never was.
#[test]
fn a_crash_after_storing_counts_too_much_and_never_too_little() {
    let mut ledger = ledger();
    let stored = ledger.reserve(mechanism(), 1).unwrap().bytes().to_vec();
    let after_crash = Ledger::from_bytes(&stored, scope(), 0).unwrap();
    assert_eq!(after_crash.spent(), ledger.spent());
    assert!(after_crash.spent().unwrap().epsilon > 0.0);
}

#[test]
fn an_old_copy_and_another_scope_are_refused() {
    let mut ledger = ledger();
    let old = ledger.reserve(mechanism(), 1).unwrap().bytes().to_vec();
    ledger.reserve(mechanism(), 1).unwrap().stored();
    assert_eq!(
        Ledger::from_bytes(&old, scope(), ledger.sequence()),
        Err(LedgerError::RolledBack { got: 1, last: 2 })
    );
    let other = Digest::sha256(b"another network");
    assert_eq!(Ledger::from_bytes(&old, other, 0), Err(LedgerError::Scope));
}

/// Two tabs read the same ledger, and each books a release.
#[test]
fn a_store_that_compares_sequences_refuses_the_second_of_two_holders() {
    let mut stored = ledger().reserve(mechanism(), 1).unwrap().bytes().to_vec();
    let holder = Ledger::from_bytes(&stored, scope(), 1).unwrap();
    let (mut first, mut second) = (holder.clone(), holder);
    let mut put = |reservation: &Reservation| {
        let held = Ledger::from_bytes(&stored, scope(), 1).unwrap();
        let is_held = held.sequence() == reservation.replaces();
        if is_held {
            stored = reservation.bytes().to_vec();
        }
        is_held
    };
    let (one, other) = (
        first.reserve(mechanism(), 1),
        second.reserve(mechanism(), 1),
    );
    assert!(put(&one.unwrap()));
    assert!(!put(&other.unwrap()), "it would undo what the first booked");
    // Neither may what one holder booked be stored out of order.
    let (early, late) = (first.reserve(mechanism(), 1), first.reserve(mechanism(), 1));
    let (early, late) = (early.unwrap(), late.unwrap());
    assert!(!put(&late) && put(&early) && put(&late) && !put(&early));
    assert_eq!(Ledger::from_bytes(&stored, scope(), 1), Ok(first));
}

#[test]
fn another_version_is_named() {
    let mut bytes = ledger().to_bytes();
    bytes[0] = 2;
    let content = bytes.len() - DIGEST_LEN;
    let digest = digest_of(&bytes[..content]);
    bytes[content..].copy_from_slice(digest.as_bytes());
    let error = Ledger::from_bytes(&bytes, scope(), 0).unwrap_err();
    assert_eq!(error.to_string(), "ledger version must be 1, got 2");
}

#[test]
fn budgets_steps_and_mechanisms_out_of_range_are_refused() {
    for (epsilon, delta) in [(0.0, 1e-5), (f64::NAN, 1e-5), (1.0, 0.0), (1.0, 1.0)] {
        let budget = Budget { epsilon, delta };
        assert!(Ledger::new(scope(), budget).is_err(), "{epsilon} {delta}");
        assert!(ledger().set_budget(budget).is_err(), "{epsilon} {delta}");
    }
    for (sigma, sensitivity, rate) in [
        (0, 1, 1.0),
        (MAX_SIGMA + 1, 1, 1.0),
        (1, 0, 1.0),
        (1, 1, 0.0),
        (1, 1, 1.1),
        (1, 1, f64::NAN),
    ] {
        assert!(Mechanism::new(sigma, sensitivity, rate).is_err());
    }
    let error = ledger().reserve(mechanism(), 0).unwrap_err();
    assert_eq!(error, LedgerError::Steps { before: 0, more: 0 });
    let error = ledger().reserve(mechanism(), u64::MAX).unwrap_err();
    assert!(matches!(error, LedgerError::Exhausted { .. }));
}

#[test]
fn one_more_kind_of_mechanism_than_fits_is_refused() {
    let mut ledger = Ledger::new(
        scope(),
        Budget {
            epsilon: 1e3,
            delta: 1e-5,
        },
    )
    .unwrap();
    for kind in 0..MAX_MECHANISMS as u64 {
        let mechanism = Mechanism::new((100 << 20) + kind, 1 << 20, 1.0).unwrap();
        ledger.reserve(mechanism, 1).unwrap().stored();
    }
    let error = ledger.reserve(mechanism(), 1).unwrap_err();
    assert_eq!(error, LedgerError::Mechanisms { max: 64 });
    let restored = Ledger::from_bytes(&ledger.to_bytes(), scope(), 64).unwrap();
    assert_eq!(restored, ledger);
}

#[test]
fn a_smaller_budget_keeps_what_was_spent() {
    let mut ledger = ledger();
    ledger.reserve(mechanism(), 10).unwrap().stored();
    let spent = ledger.spent().unwrap();
    ledger
        .set_budget(Budget {
            epsilon: spent.epsilon / 2.0,
            delta: spent.delta,
        })
        .unwrap();
    assert_eq!(ledger.spent(), Ok(spent));
    assert!(ledger.reserve(mechanism(), 1).is_err());
}

#[test]
fn a_grant_is_good_for_its_steps_and_no_more() {
    let mut grant = ledger().reserve(mechanism(), 2).unwrap().stored();
    assert_eq!(
        (grant.take(), grant.take(), grant.take()),
        (true, true, false)
    );
}

proptest! {
    #[test]
    fn a_changed_cut_or_lengthened_ledger_is_refused(
        at in 0usize..400,
        flip in 1u8..,
        cut in 0usize..400,
    ) {
        let mut ledger = ledger();
        ledger.reserve(mechanism(), 7).unwrap().stored();
        let bytes = ledger.to_bytes();
        let mut changed = bytes.clone();
        changed[at % bytes.len()] ^= flip;
        prop_assert!(Ledger::from_bytes(&changed, scope(), 0).is_err());
        prop_assert!(Ledger::from_bytes(&bytes[..cut % bytes.len()], scope(), 0).is_err());
        let longer = [bytes.as_slice(), &[flip]].concat();
        prop_assert!(Ledger::from_bytes(&longer, scope(), 0).is_err());
    }
}
