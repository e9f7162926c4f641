//! Bytes that must never change: whoever wrote them yesterday is still to be understood tomorrow.
//!
//! A Python script written from the documentation alone produced the same bytes, content ids and codons, and Node's
//! `crypto` accepted the signatures, with the public key that RFC 8032 gives.

use chorus_core::packet::block::{Manifest, split};
use chorus_core::packet::{Packet, UnverifiedPacket};

use crate::sample::{POLICY, inline, key, link};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().as_chunks::<2>().0;
    let pair =
        |pair: &[u8; 2]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(pair).collect()
}

/// Checks both directions of both forms.
fn check(packet: &Packet, cbor: &str, json: &str, cid: &str) {
    assert_eq!(hex(packet.as_cbor()), cbor);
    assert_eq!(packet.to_json(), json);
    assert_eq!(packet.cid().to_string(), cid);
    let from_cbor = UnverifiedPacket::from_cbor(&bytes(cbor))
        .unwrap()
        .verify(&POLICY)
        .unwrap();
    let from_json = UnverifiedPacket::from_json(json)
        .unwrap()
        .verify(&POLICY)
        .unwrap();
    for received in [from_cbor, from_json] {
        assert_eq!((&received, received.author()), (packet, key().peer_id()));
        assert_eq!(received.instructions(), packet.instructions());
        assert_eq!(received.payload(), packet.payload());
    }
}

#[test]
fn the_smallest_packet_keeps_its_bytes() {
    check(&inline(), INLINE_CBOR, INLINE_JSON, INLINE_CID);
}

#[test]
fn a_packet_with_every_kind_of_argument_keeps_its_bytes() {
    check(&link(), LINK_CBOR, LINK_JSON, LINK_CID);
}

#[test]
fn a_manifest_keeps_its_bytes() {
    let content = vec![7; 300_000];
    let (manifest, _) = split(&content);
    let block = manifest.to_block().unwrap();
    assert_eq!(
        (&*hex(&block.bytes), &*block.cid.to_string()),
        (MANIFEST_CBOR, MANIFEST_CID)
    );
    assert_eq!(
        Manifest::from_cbor(&bytes(MANIFEST_CBOR), 300_000),
        Ok(manifest)
    );
}

/// `sample::inline` in DAG-CBOR.
const INLINE_CBOR: &str = "\
a96374746c1a00015180686d65746164617461a66f696e746567726174696f6e5f686f7774484f575f4d455247452077\
65696768743d312e306f696e746567726174696f6e5f776879715748595f4c4541524e207461736b3d222270696e7465\
67726174696f6e5f7768617477574841545f504152414d4554455253206e616d653d222270696e746567726174696f6e\
5f7768656e6e5748454e5f494d4d45444941544571696e746567726174696f6e5f6f726465726e4f524445525f504152\
414c4c454c71696e746567726174696f6e5f7768657265781c57484552455f4d454d4f525920726567696f6e3d227368\
6172656422697369676e6174757265584050edf69a75accabf0b79d599725d094aae1396e120b42f677111005a92998b\
7157d5932dc39b8c210e7a3e5708089fc3ba01c077a84df47370d0cd8201ec0b096974696d657374616d701b000001a1\
fc42d2006b6f7267616e69736d5f69647834313244334b6f6f57514b31776e65666f4c7263564862626e6635744c7a62\
6f705564334b336246416f4a704137594a674c3570566b7061636b65745f74797065686772656574696e676f7175616c\
6974795f6d657472696373a07067656e657469635f73657175656e636558210e001b07067368617265642d083ff00000\
000000001c010002010001000002686972636f6d7061746962696c6974795f6861736858208f434346648f6b96df89dd\
a901c5176b10a6d83961dd3c1ac88b59b2dc327aa4";
/// `sample::inline` in JSON.
const INLINE_JSON: &str = r#"{"organism_id":"12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV","packet_type":"greeting","genetic_sequence":"ATGAAACGTACTACGTaTGgAGaCTaGGcCGcAGTCAGATTTtaAAAAAAAAAAAAAAAAAAACTAAACAAAAAGAACAAAAACAAAAAAAAGGgAGgC","metadata":{"integration_when":"WHEN_IMMEDIATE","integration_where":"WHERE_MEMORY region=\"shared\"","integration_how":"HOW_MERGE weight=1.0","integration_why":"WHY_LEARN task=\"\"","integration_what":"WHAT_PARAMETERS name=\"\"","integration_order":"ORDER_PARALLEL"},"quality_metrics":{},"compatibility_hash":"8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4","signature":"50edf69a75accabf0b79d599725d094aae1396e120b42f677111005a92998b7157d5932dc39b8c210e7a3e5708089fc3ba01c077a84df47370d0cd8201ec0b09","timestamp":"2026-11-21T04:00:00.000Z","ttl":86400}"#;
/// Name of `INLINE_CBOR`.
const INLINE_CID: &str = "bafyreih3xe2e5oje3jjdylfjcfhs5kj6nq7avkmqco3uqjlwis6uwxdtfy";
/// `sample::link` in DAG-CBOR.
const LINK_CBOR: &str = "\
a96374746c190e10686d65746164617461a66f696e746567726174696f6e5f686f7775484f575f4d4552474520776569\
6768743d302e32356f696e746567726174696f6e5f776879775748595f4c4541524e207461736b3d2264696769747322\
70696e746567726174696f6e5f776861747830574841545f574549474854532074656e736f723d22616c6c2220647479\
70653d6633322073686170653d5b343831305d70696e746567726174696f6e5f7768656e782a5748454e5f5448524553\
484f4c44206d65747269633d226163637572616379222076616c75653d302e3971696e746567726174696f6e5f6f7264\
6572784b4f524445525f4146544552206369643d626166797265696762746a3478376970356c65676e667a6e7566756f\
706c347367346b6e7a6332636f66366475617334623371326679367377756171696e746567726174696f6e5f77686572\
65782357484552455f5041545445524e207061747465726e3d226c61796572205c22315c2222697369676e6174757265\
584009c2f81fff34a2f65d0906cb7fa4e0104d61d6f9f989ea17e7ccd3ea777241ba2fdf1981b0eb740adee5e7ae27e3\
bfc23a8557b02566023a6278b71395c337096974696d657374616d701b000001a1fc42d2006b6f7267616e69736d5f69\
647834313244334b6f6f57514b31776e65666f4c7263564862626e6635744c7a626f705564334b336246416f4a704137\
594a674c3570566b7061636b65745f7479706567776569676874736f7175616c6974795f6d657472696373a2646c6f73\
73fb3fb999999999999a686163637572616379fb3fec0000000000007067656e657469635f73657175656e6365588c31\
110861636375726163793feccccccccccccd380a096c61796572202231222d083fd00000000000001c07066469676974\
73280a03616c6c0001000012ca3e2401711220c19a797fa1fd590cd2e5b42d1cf5f246e29b91684e2f87404b81dc345c\
7a56a0010171122005b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657fc0843d72636f6d70\
61746962696c6974795f686173685820ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
/// `sample::link` in JSON.
const LINK_JSON: &str = r#"{"organism_id":"12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV","packet_type":"weights","genetic_sequence":"TACCACAGAGaCGaTGaTTcCTaGGaCGaTTgCTTTgtAatAatAatAatAatAatCTGAAGGAGCGtAGaCTgCGcCTaGGAAGAGTACGAGGTCAGATTTcaAAAAAAAAAAAAAAAAAAACTAACTACGGcAGgCGcTGgCTcATaTGGAAGGAATGaCGtAGtAAAAAACAAAAAACAGagGTTGGCAAACTaCCAGGAAaaCcGGTgCTtTgACttCCgCATAcaGgcCtCAGTCCTAtcCtaGAcGgaGcGTcACGgAAtGGTTaCTAaAAgTaACctATCACtATgGCcGgAAAACAACTaCCAGGAAACCtATgGTtaGCcTcGGCtGtCGGcAAATatCTgAtTGCcCTtTcgAGaAGaTTGGCTTgaGCAATTATcGAaGAATATCgtTgaTGTAGcCTtTaaAaCATTC","metadata":{"integration_when":"WHEN_THRESHOLD metric=\"accuracy\" value=0.9","integration_where":"WHERE_PATTERN pattern=\"layer \\\"1\\\"\"","integration_how":"HOW_MERGE weight=0.25","integration_why":"WHY_LEARN task=\"digits\"","integration_what":"WHAT_WEIGHTS tensor=\"all\" dtype=f32 shape=[4810]","integration_order":"ORDER_AFTER cid=bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"},"quality_metrics":{"accuracy":0.875,"loss":0.1},"compatibility_hash":"ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73","signature":"09c2f81fff34a2f65d0906cb7fa4e0104d61d6f9f989ea17e7ccd3ea777241ba2fdf1981b0eb740adee5e7ae27e3bfc23a8557b02566023a6278b71395c33709","timestamp":"2026-11-21T04:00:00.000Z","ttl":3600}"#;
/// Name of `LINK_CBOR`.
const LINK_CID: &str = "bafyreiecv3wcf7jf6t5sriecqvpdzbmhwtpd2okmt3tafxfarmk72mfpzy";
/// The manifest of 300 000 sevens.
const MANIFEST_CBOR: &str = "\
a26473697a651a000493e0666c656176657382d82a582500015512203637bbb97e98d009f2be4d0d4a50e73431d6b07b\
3ede39829e09bbf566a972a0d82a58250001551220ec2470902b2a2107602731da499f524fdaa3507a5d00c0eb98ef8d\
81c686c8c1";
/// Name of `MANIFEST_CBOR`.
const MANIFEST_CID: &str = "bafyreiciq3xe6he5gfyticky47adspchrgfb4mumubd54xzgca5euypolu";
