use alloc::string::ToString;
use alloc::vec;

use proptest::collection::vec as several;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::learner::digits::Digits;
use crate::learner::mlp::{Mlp, PARAMETERS};

fn first() -> Units {
    Units::of(Mlp::new(7).parameters())
}

fn head(is_whole: bool) -> Head {
    Head {
        is_whole,
        round: 300,
        classes: [1, 7].into_iter().collect(),
        base: first().tag(),
    }
}

/// A change as training makes them: steps on the digits of two classes.
fn difference() -> Vec<f32> {
    let digits = Digits::parse(include_bytes!("../../../../www/digits.bin")).unwrap();
    let shard = digits.shard("1,7".parse::<Classes>().unwrap());
    let mut model = Mlp::new(7);
    for batch in shard.chunks(32).take(10) {
        model.train_batch(batch, 0.4);
    }
    let first = Mlp::new(7);
    let moved = model.parameters().iter().zip(first.parameters());
    moved.map(|(after, before)| after - before).collect()
}

#[test]
fn an_update_survives_the_trip_through_bytes_and_keeps_its_budget() {
    for budget in [84, 128, 600, MAX_UPDATE] {
        let (update, bytes) = Update::quantise(head(false), &difference(), budget);
        assert!(
            bytes.len() <= budget && bytes.len() * 10 >= budget * 7,
            "{}",
            bytes.len()
        );
        assert_eq!(Update::from_bytes(&bytes), Ok(update.clone()));
        assert_eq!(
            (update.round(), update.classes()),
            (300, Some([1, 7].into_iter().collect()))
        );
    }
}

#[test]
fn the_header_is_written_as_documented() {
    let update = Update {
        head: head(true),
        pairs: vec![],
    };
    let Tag([a, b, c, d]) = first().tag();
    let bytes = update.to_bytes();
    assert_eq!(bytes[..9], [2, 0xac, 2, 0, 0x82, a, b, c, d]);
    assert!(bytes.len() <= 10, "{bytes:?}");
    assert_eq!(update.apply(&first()), Ok(first().parameters()));
}

#[test]
fn more_bytes_come_nearer_to_the_model() {
    let (reference, wanted) = (first(), difference());
    let error = |budget| {
        let (update, _) = Update::quantise(head(false), &wanted, budget);
        let told = update.apply(&reference).unwrap();
        let told = told.iter().zip(reference.parameters());
        let left = told
            .zip(&wanted)
            .map(|((told, reference), wanted)| told - reference - wanted);
        left.map(|left| f64::from(left) * f64::from(left))
            .sum::<f64>()
    };
    let all: f64 = wanted.iter().map(|&d| f64::from(d) * f64::from(d)).sum();
    assert!(
        error(84) < all * 0.2 && error(600) < all * 0.005 && error(4096) < all * 0.0002,
        "{} {} {} of {all}",
        error(84),
        error(600),
        error(4096)
    );
}

#[test]
fn what_ran_away_is_told_as_a_model_or_not_at_all() {
    for far in [f32::NAN, f32::INFINITY, -1e30] {
        let (update, bytes) = Update::quantise(head(false), &[far; PARAMETERS], 84);
        assert!(bytes.len() <= 84 && update.apply(&first()).is_ok(), "{far}");
    }
    let wild: Vec<f32> = difference().iter().map(|d| d * 1e9).collect();
    let (update, bytes) = Update::quantise(head(false), &wild, 84);
    assert!(bytes.len() <= 84);
    assert_eq!(update.apply(&first()), Ok(first().parameters()));
}

#[test]
fn a_model_of_the_greatest_norm_keeps_every_unit() {
    let units = Units(vec![6_553_600, -6_553_600, 1, 0]);
    assert_eq!(Units::of(&units.parameters()), units);
}

#[test]
fn lies_are_refused_by_name() {
    let no_difference = "difference must have at most 128 pairs and end with its bytes";
    let (_, good) = Update::quantise(head(false), &difference(), 84);
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        Update::from_bytes(&bytes).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&|b| b[0] = 3),
        "kind of update must be 1 or 2, got 3"
    );
    assert_eq!(
        refused(&|b| b[3] = 0x80),
        "classes must be within the lowest ten bits, got 0x8082"
    );
    assert_eq!(
        refused(&|b| b.resize(5000, 1)),
        "update bytes must be at most 4096, got 5000"
    );
    assert_eq!(
        refused(&|b| b.truncate(6)),
        "input ends at byte 5: 4 more needed, 1 left"
    );
    for change in [&|b: &mut Vec<u8>| b.push(0) as _, &|b: &mut Vec<u8>| {
        b.extend([1; 8])
    }] as [&dyn Fn(&mut Vec<u8>); 2]
    {
        assert_eq!(refused(change), no_difference);
    }
    // Ones without end: pair after pair.
    let endless = refused(&|b| {
        b.truncate(9);
        b.resize(4096, 0);
        b[4095] = 1;
    });
    assert_eq!(endless, no_difference);
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused_or_read_and_never_more_than_a_model() {
    let (_, bytes) = Update::quantise(head(true), &difference(), 120);
    for cut in 0..bytes.len() {
        // Levels that are cut off may read as other levels; the header may not.
        let read = Update::from_bytes(&bytes[..cut]);
        assert!(read.is_err() || cut >= 9, "{cut}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(update) = Update::from_bytes(&flipped)
            && let Ok(model) = update.apply(&first())
        {
            assert_eq!(check_parameters(&model), Ok(()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(2),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_refused_or_a_model(bytes in several(any::<u8>(), 0..300), kind in 0u8..4) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        if let Ok(update) = Update::from_bytes(&bytes) {
            prop_assert!(update.apply(&first()).map_or(true, |model| check_parameters(&model).is_ok()));
        }
    }
}
