use alloc::format;
use alloc::string::ToString;

use proptest::collection::vec as several;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::embedding::recall;
use super::*;
use crate::wire::Writer;

/// In 2026, in milliseconds since 1970.
const NOW: u64 = 1_790_000_000_000;

fn embedding(values: &[f32]) -> Embedding {
    Embedding::quantise(values, 8).unwrap()
}

fn record(subject: u8, text: &str, evidence: u32, time_millis: u64) -> Record {
    Record {
        subject: [subject; 32],
        text: text.into(),
        embedding: embedding(&[1.0, f32::from(subject)]),
        importance: 1000,
        time_millis,
        evidence,
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let meaning = several(-1.0f32..1.0, 4);
    (0u8..6, "[a-c]{0,3}", 0u32..3, 0u64..4, 0u16..3, meaning).prop_map(
        |(subject, text, evidence, months, importance, meaning)| Record {
            subject: [subject; 32],
            text,
            embedding: embedding(&meaning),
            importance: importance * 20_000,
            time_millis: months * 15 * 86_400_000,
            evidence,
        },
    )
}

fn memory(records: &[Record]) -> Memory {
    let mut memory = Memory::new(Config {
        max_records: 4,
        ..Config::default()
    });
    for record in records {
        memory.insert(record.clone()).unwrap();
    }
    memory
}

fn merged(a: &Memory, b: &Memory) -> Memory {
    let mut merged = a.clone();
    merged.merge(b).unwrap();
    merged
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(4),
        ..ProptestConfig::default()
    })]

    #[test]
    fn merging_is_commutative_associative_and_idempotent_also_where_there_is_too_little_room(
        a in several(any_record(), 0..8),
        b in several(any_record(), 0..8),
        c in several(any_record(), 0..8),
    ) {
        let (a, b, c) = (memory(&a), memory(&b), memory(&c));
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert_eq!(merged(&merged(&a, &b), &b), merged(&a, &b));
        prop_assert!(merged(&a, &b).records().len() <= 4);
        let both = merged(&a, &b);
        let distinct = both.distinct();
        let near = |a: &Record, b: &Record| a.embedding.cosine(&b.embedding) >= 0.95;
        for (place, record) in distinct.iter().enumerate() {
            prop_assert!(distinct[..place].iter().all(|better| !near(better, record)));
        }
        for left_out in both.records().filter(|record| !distinct.contains(record)) {
            let is_better = |other: &&&Record| both.config.order(other, left_out) == Ordering::Greater;
            prop_assert!(distinct.iter().filter(is_better).any(|better| near(better, left_out)));
        }
    }

    #[test]
    fn records_survive_the_trip_through_bytes(
        records in several(any_record(), 0..8),
        bits in prop_oneof![Just(1u8), Just(2), Just(4), Just(8)],
        dictionary in several(any::<u8>(), 0..200),
    ) {
        let mut records = records;
        for record in &mut records {
            record.embedding = Embedding::quantise(&[0.5, -1.0, 0.25], bits).unwrap();
            // It does not travel.
            record.evidence = 1;
        }
        let bytes = pack(&records, &dictionary).unwrap();
        prop_assert_eq!(unpack(&bytes, &dictionary, &Config::default(), NOW), Ok(records));
    }

    #[test]
    fn any_bytes_are_refused_or_records_within_the_bounds(bytes in several(any::<u8>(), 0..100)) {
        let mut bytes = bytes;
        let head = pack(&[], &[]).unwrap();
        bytes.splice(0..0, head[..5].to_vec());
        let config = Config { max_records: 9, max_text: 50, ..Config::default() };
        if let Ok(records) = unpack(&bytes, &[], &config, NOW) {
            prop_assert!(records.len() <= 9 && records.iter().all(|r| config.check(r).is_ok()));
        }
    }
}

#[test]
fn of_what_contradicts_itself_more_evidence_wins_and_then_the_later() {
    let mut memory = Memory::new(Config::default());
    assert_eq!(memory.insert(record(1, "late", 1, 2_000_000_000)), Ok(true));
    assert_eq!(memory.insert(record(1, "early", 1, 0)), Ok(false));
    assert_eq!(memory.get(&[1; 32]).unwrap().text, "late");
    assert_eq!(memory.insert(record(1, "seen twice", 2, 0)), Ok(true));
    assert_eq!(memory.insert(record(1, "seen twice", 2, 0)), Ok(false));
    assert_eq!(memory.records().len(), 1);
}

#[test]
fn importance_halves_in_a_half_life_and_what_matters_least_goes_first() {
    let config = Config {
        half_life_millis: 1000,
        max_records: 2,
        ..Config::default()
    };
    let full = Record {
        importance: u16::MAX,
        ..record(1, "a", 1, 5000)
    };
    let worth = |now| config.importance(&full, now);
    assert_eq!(
        [worth(0), worth(5000), worth(6000), worth(8000)],
        [1.0, 1.0, 0.5, 0.125]
    );
    let mut memory = Memory::new(config);
    // Sixteen times as important, and five half-lives older.
    let important = Record {
        importance: 16_000,
        ..record(2, "b", 1, 0)
    };
    memory.insert(important).unwrap();
    memory.insert(full).unwrap();
    assert_eq!(memory.insert(record(3, "c", 1, 5000)), Ok(true));
    assert_eq!(memory.get(&[2; 32]), None);
    assert_eq!(memory.insert(record(4, "d", 1, 0)), Ok(false));
    assert_eq!(memory.records().len(), 2);
}

/// A record about a number, as late as that.
fn numbered(number: u32, evidence: u32) -> Record {
    let mut subject = [0; 32];
    subject[..4].copy_from_slice(&number.to_le_bytes());
    Record {
        subject,
        ..record(0, "", evidence, u64::from(number))
    }
}

#[test]
fn a_full_memory_takes_in_as_many_records_again_without_a_look_at_all_for_each() {
    // Looking at all of them for each took minutes here.
    const COUNT: u32 = 20_000;
    let config = Config {
        max_records: COUNT as usize,
        ..Config::default()
    };
    let (mut memory, mut backwards) = (Memory::new(config), Memory::new(config));
    for number in 0..2 * COUNT {
        assert_eq!(memory.insert(numbered(number, 1)), Ok(true));
        let number = 2 * COUNT - 1 - number;
        assert_eq!(
            backwards.insert(numbered(number, 1)),
            Ok(number >= COUNT),
            "{number}"
        );
    }
    assert_eq!(memory, backwards);
    assert!(
        memory
            .records()
            .all(|record| record.time_millis >= COUNT.into())
    );
    // One that is known already makes nobody go.
    assert_eq!(memory.insert(numbered(2 * COUNT - 1, 2)), Ok(true));
    assert_eq!(memory.records().len(), COUNT as usize);
    assert_eq!(memory.insert(numbered(0, 2)), Ok(true));
    assert_eq!(memory.get(&numbered(COUNT, 1).subject), None);
}

#[test]
fn what_is_compared_with_each_other_is_bounded_and_the_best() {
    let mut memory = Memory::new(Config::default());
    let count = MAX_COMPARED as u32 + 100;
    // In 13 dimensions each combination of signs is another meaning.
    let signs =
        |number: u32| (0..13).map(move |bit| if number >> bit & 1 == 1 { 1.0 } else { -1.0 });
    for number in 0..count {
        let values: Vec<f32> = signs(number).collect();
        let record = Record {
            embedding: Embedding::quantise(&values, 1).unwrap(),
            ..numbered(number, 1)
        };
        memory.insert(record).unwrap();
    }
    let times = memory
        .distinct()
        .into_iter()
        .map(|record| record.time_millis);
    assert!(times.eq((100..u64::from(count)).rev()));
}

#[test]
fn the_same_text_is_one_record_and_the_same_meaning_is_passed_on_once() {
    let mut memory = Memory::new(Config::default());
    let meaning = [0.3, -0.9, 0.1, 0.4];
    let near = meaning.map(|v| v * 2.0 + 0.01);
    for (text, values, time) in [("a b", meaning, 1), ("a b", meaning, 2), ("b a", near, 3)] {
        memory
            .insert(Record::of_text(text, embedding(&values), time))
            .unwrap();
    }
    memory
        .insert(Record::of_text("other", embedding(&meaning.map(|v| -v)), 0))
        .unwrap();
    assert_eq!(memory.records().len(), 3);
    let texts: Vec<&str> = memory.distinct().iter().map(|r| &*r.text).collect();
    assert_eq!(texts, ["b a", "other"]);
    assert_eq!(memory.nearest(&meaning, 1)[0].text.len(), 3);
    assert_eq!(
        memory.nearest(&[1.0], 9).len(),
        3,
        "another dimension is near to nothing"
    );
}

/// Points around some centres, as embeddings of texts on some topics lie.
fn clustered(count: usize) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut normal = move || {
        (0..12)
            .map(|_| rng.next_u32() as f32 / 4_294_967_296.0)
            .sum::<f32>()
            - 6.0
    };
    let centres: Vec<Vec<f32>> = (0..10)
        .map(|_| (0..128).map(|_| normal()).collect())
        .collect();
    let around = |index: usize| centres[index % 10].clone();
    let mut points: Vec<Vec<f32>> = (0..count).map(around).collect();
    points
        .iter_mut()
        .flatten()
        .for_each(|value| *value += normal());
    points
}

#[test]
fn more_bits_find_more_of_the_nearest_and_the_fewest_that_reach_the_target_are_taken() {
    let points = clustered(200);
    let points: Vec<&[f32]> = points.iter().map(|point| &point[..]).collect();
    let found = [1, 2, 4, 8].map(|bits| recall(&points, 10, bits).unwrap());
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
    assert!(
        found[0] > 0.6 && found[2] > 0.9 && found[3] > 0.98,
        "{found:?}"
    );
    assert_eq!(fewest_bits(&points, 10, found[1] - 0.01), Ok(2));
    assert_eq!(fewest_bits(&points, 10, 1.0), Ok(8));
    assert_eq!(fewest_bits(&[], 10, 1.0), Ok(1));
}

#[test]
fn a_dictionary_that_both_have_makes_like_texts_small() {
    let text = |index: usize| {
        format!(
            "The tab with number {index} holds the digits {index}, 3 and 4, and learns them from others."
        )
    };
    let records: Vec<Record> = (0..20)
        .map(|i| Record::of_text(text(i), embedding(&[1.0]), 9))
        .collect();
    let dictionary = dictionary_of(&records[..10]);
    let size = |dictionary: &[u8]| pack(&records[10..11], dictionary).unwrap().len();
    assert!(
        size(&dictionary) + 40 < size(&[]),
        "{} {}",
        size(&dictionary),
        size(&[])
    );
    let bytes = pack(&records[10..], &dictionary).unwrap();
    let config = Config::default();
    assert_eq!(
        unpack(&bytes, &dictionary, &config, NOW).unwrap(),
        records[10..]
    );
    let error = unpack(&bytes, &dictionary[1..], &config, NOW)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("the dictionary's digest must start with"),
        "{error}"
    );
    // 40 KiB: the end of it counts, on both sides.
    let long = [&[7; 40_000][..], &dictionary].concat();
    assert_eq!(
        unpack(&pack(&records, &long).unwrap(), &long, &config, NOW).unwrap(),
        records
    );
}

#[test]
fn a_stranger_claims_no_evidence_and_no_time_to_come() {
    let mut memory = Memory::new(Config {
        max_records: 2,
        ..Config::default()
    });
    for subject in [1, 2] {
        memory.insert(record(subject, "known", 2, NOW)).unwrap();
    }
    let before = memory.clone();
    let claims = |time| [3, 4].map(|subject| record(subject, "loud", u32::MAX, time));
    let config = Config::default();
    let read = |time| unpack(&pack(&claims(time), &[]).unwrap(), &[], &config, NOW);
    let latest = NOW + config.max_skew_millis;
    for got in [latest + 1, u64::MAX >> 1] {
        let (index, refused) = (0, read(got));
        assert_eq!(refused, Err(PackError::Future { index, got, latest }));
    }
    for record in read(latest).unwrap() {
        assert_eq!(record.evidence, 1);
        assert_eq!(memory.insert(record), Ok(false));
    }
    assert_eq!(memory, before);
}

#[test]
fn what_nobody_would_unpack_is_not_packed() {
    let long = "x".repeat(1 << 20);
    let record = record(1, &long, 1, 1);
    let packed = |count| pack(core::iter::repeat_n(&record, count), &[]);
    assert!(packed(16).is_ok());
    assert_eq!(
        packed(17).unwrap_err().to_string(),
        "bytes of all texts must be at most 16777216, got 17825792"
    );
}

#[test]
fn settings_out_of_their_ranges_are_refused_by_name() {
    assert_eq!(Config::default().validate(), Ok(()));
    let refused = |config: Config| config.validate().unwrap_err().to_string();
    let usual = Config::default();
    assert_eq!(
        refused(Config {
            max_records: 0,
            ..usual
        }),
        "memory.max_records must be within 1..=1048576, got 0"
    );
    for same_meaning in [f32::NAN, -0.1, 1.1] {
        let error = refused(Config {
            same_meaning,
            ..usual
        });
        assert!(error.starts_with("memory.same_meaning must be"), "{error}");
    }
    let error = refused(Config {
        half_life_millis: 0,
        max_text: 1 << 21,
        ..usual
    });
    assert!(error.starts_with("memory.half_life_millis must"), "{error}");
}

#[test]
fn lies_are_refused_before_anything_is_allocated_for_them() {
    let records = [record(1, "some text", 1, 1), record(2, "some text", 1, 1)];
    let good = pack(&records, &[]).unwrap();
    let small = Config {
        max_records: 1,
        ..Config::default()
    };
    let refused =
        |bytes: &[u8], config: &Config| unpack(bytes, &[], config, NOW).unwrap_err().to_string();
    assert_eq!(refused(&good, &small), "records must be at most 1, got 2");
    let short = Config {
        max_text: 8,
        ..Config::default()
    };
    assert_eq!(
        refused(&good, &short),
        "bytes of all texts must be at most 16, got 18"
    );
    let mut bomb = Writer::new();
    bomb.put(&good[..5])
        .uvarint(4096)
        .uvarint(1 << 40)
        .uvarint(3);
    assert!(
        refused(&bomb.into_bytes(), &Config::default()).starts_with("bytes of all texts must be")
    );
    assert_eq!(
        refused(&[2; 9], &short),
        "version of packed records must be 1, got 2"
    );
    // Heads that share out less than was announced.
    let mut lying = Writer::new();
    lying.put(&good[..5]).uvarint(1).uvarint(1 << 12).uvarint(4);
    lying
        .u8(8 | 0x80)
        .uvarint(0)
        .uvarint(1)
        .uvarint(1)
        .uvarint(9);
    lying.put(&[0xff; 4]);
    assert_eq!(
        refused(&lying.into_bytes(), &Config::default()),
        "texts must unpack to 4096 bytes of UTF-8 that the records share out"
    );
    for cut in 0..good.len() {
        assert!(
            unpack(&good[..cut], &[], &Config::default(), NOW).is_err(),
            "{cut}"
        );
    }
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(records) = unpack(&flipped, &[], &Config::default(), NOW) {
            assert!(records.iter().all(|r| Config::default().check(r).is_ok()));
        }
    }
    let mut memory = Memory::new(short);
    assert!(memory.insert(record(1, "too long a text", 1, 1)).is_err());
    assert_eq!(memory.records().len(), 0);
    assert_eq!(
        Embedding::quantise(&[1.0, f32::NAN], 4)
            .unwrap_err()
            .to_string(),
        "number 1 of an embedding must be finite, got NaN"
    );
    assert!(Embedding::quantise(&[], 3).is_err());
    assert_eq!(
        Embedding::quantise(&[0.0; 9], 1).unwrap().as_bytes().len(),
        2
    );
    assert!(Embedding::from_bytes(9, 1, &[0, 2]).is_err());
}
