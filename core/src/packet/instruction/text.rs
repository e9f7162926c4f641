//! Instructions in words, as they stand in the metadata.

use core::fmt;

use super::{How, Order, What, When, Where, Why};

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
