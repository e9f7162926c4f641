//! Instructions in words, as they stand in the metadata.

use core::fmt;
use core::str::FromStr;

use super::{How, MAX_PERIOD_SECS, MAX_TEXT, Order, What, When, Where, Why};
use crate::packet::PacketError;

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Immediate => f.write_str("WHEN_IMMEDIATE"),
            Self::Threshold { metric, value } => write!(
                f,
                "WHEN_THRESHOLD metric={} value={value:?}",
                Quoted(metric)
            ),
            Self::Periodic { secs } => write!(f, "WHEN_PERIODIC secs={secs}"),
        }
    }
}

/// Reads what people write: `immediate`, `METRIC_threshold_VALUE` such as `performance_threshold_0.8`, `periodic_SECS`.
impl FromStr for When {
    type Err = PacketError;

    fn from_str(text: &str) -> Result<Self, PacketError> {
        let read = match (
            text.rsplit_once("_threshold_"),
            text.strip_prefix("periodic_"),
        ) {
            _ if text == "immediate" => Some(Self::Immediate),
            (Some((metric, value)), _) => {
                let value = value.parse().ok().filter(|value: &f64| value.is_finite());
                let is_name = !metric.is_empty() && metric.len() <= MAX_TEXT;
                value.filter(|_| is_name).map(|value| Self::Threshold {
                    metric: metric.into(),
                    value,
                })
            }
            (None, Some(secs)) => {
                let secs = secs.parse().ok();
                let secs = secs.filter(|secs| (1..=MAX_PERIOD_SECS).contains(secs));
                secs.map(|secs| Self::Periodic { secs })
            }
            (None, None) => None,
        };
        read.ok_or_else(|| PacketError::Argument {
            field: "integration_when",
            argument: "when",
            expected: "immediate, METRIC_threshold_VALUE or periodic_SECS",
            got: text.chars().take(MAX_TEXT).collect(),
        })
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { region } => write!(f, "WHERE_MEMORY region={}", Quoted(region)),
            Self::Pattern { pattern } => write!(f, "WHERE_PATTERN pattern={}", Quoted(pattern)),
            Self::Genetic { locus } => write!(f, "WHERE_GENETIC locus={}", Quoted(locus)),
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Merge { weight } => write!(f, "HOW_MERGE weight={weight:?}"),
            Self::Replace => f.write_str("HOW_REPLACE"),
            Self::Append => f.write_str("HOW_APPEND"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Optimize { metric } => write!(f, "WHY_OPTIMIZE metric={}", Quoted(metric)),
            Self::Adapt { context } => write!(f, "WHY_ADAPT context={}", Quoted(context)),
            Self::Learn { task } => write!(f, "WHY_LEARN task={}", Quoted(task)),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weights {
                tensor,
                dtype,
                shape,
            } => {
                write!(
                    f,
                    "WHAT_WEIGHTS tensor={} dtype={} shape={shape:?}",
                    Quoted(tensor),
                    dtype.name()
                )
            }
            Self::Structure { name, format } => {
                write!(
                    f,
                    "WHAT_STRUCTURE name={} format={}",
                    Quoted(name),
                    Quoted(format)
                )
            }
            Self::Parameters { name } => write!(f, "WHAT_PARAMETERS name={}", Quoted(name)),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("ORDER_FIRST"),
            Self::After { cid } => write!(f, "ORDER_AFTER cid={cid}"),
            Self::Parallel => f.write_str("ORDER_PARALLEL"),
        }
    }
}

/// A text between quotation marks, with `"` and `\` escaped by `\`. There are no control characters to escape.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Write::write_char(f, '"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                fmt::Write::write_char(f, '\\')?;
            }
            fmt::Write::write_char(f, c)?;
        }
        fmt::Write::write_char(f, '"')
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use crate::digest::{Codec, ContentId};
    use crate::packet::{Dtype, How, Instructions, Order, What, When, Where, Why};

    #[test]
    fn the_default_instructions_read_as_words() {
        assert_eq!(
            Instructions::default().lines(),
            [
                "WHEN_IMMEDIATE",
                r#"WHERE_MEMORY region="shared""#,
                "HOW_MERGE weight=1.0",
                r#"WHY_LEARN task="""#,
                r#"WHAT_PARAMETERS name="""#,
                "ORDER_PARALLEL",
            ]
        );
    }

    #[test]
    fn a_condition_reads_as_people_write_it() {
        let threshold = |metric: &str, value| When::Threshold {
            metric: metric.into(),
            value,
        };
        for (text, when) in [
            ("immediate", When::Immediate),
            ("performance_threshold_0.8", threshold("performance", 0.8)),
            (
                "a_threshold_b_threshold_-1e3",
                threshold("a_threshold_b", -1000.0),
            ),
            ("periodic_60", When::Periodic { secs: 60 }),
        ] {
            assert_eq!(text.parse(), Ok(when), "{text}");
        }
        for text in [
            "",
            "threshold",
            "_threshold_1",
            "x_threshold_",
            "x_threshold_NaN",
            "x_threshold_inf",
            "periodic_0",
            "periodic_-1",
            "periodic_31536001",
        ] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }

    #[test]
    fn arguments_follow_the_name_and_texts_are_quoted() {
        let instructions = Instructions {
            when: When::Threshold {
                metric: r#"a "b" \ c"#.into(),
                value: 1e21,
            },
            whither: Where::Genetic {
                locus: "ünit".into(),
            },
            how: How::Append,
            why: Why::Optimize {
                metric: "loss".into(),
            },
            what: What::Weights {
                tensor: "w".into(),
                dtype: Dtype::Bf16,
                shape: vec![64, 10],
            },
            order: Order::After {
                cid: ContentId::of(Codec::DagCbor, &[0xa0]),
            },
        };
        assert_eq!(
            instructions.lines(),
            [
                r#"WHEN_THRESHOLD metric="a \"b\" \\ c" value=1e21"#,
                r#"WHERE_GENETIC locus="ünit""#,
                "HOW_APPEND",
                r#"WHY_OPTIMIZE metric="loss""#,
                r#"WHAT_WEIGHTS tensor="w" dtype=bf16 shape=[64, 10]"#,
                "ORDER_AFTER cid=bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua",
            ]
        );
    }
}
