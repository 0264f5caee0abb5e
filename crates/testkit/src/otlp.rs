//! Exports of spans as OpenTelemetry's SDKs send them, in protobuf by hand.

/// A field that is a number below 128.
pub fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// A field that is bytes: a text, or a message.
pub fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    let mut made = vec![field << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        made.push(length as u8 | 0x80);
        length >>= 7;
    }
    made.push(length as u8);
    [made, value.to_vec()].concat()
}

/// An export of a release's spans (its `service.version`): so many of servers,
/// so many of them errors.
pub fn export(release: &str, all: usize, errors: usize) -> Vec<u8> {
    let attribute = |key: &str, value: &str| {
        bytes(1, &[bytes(1, key.as_bytes()), bytes(2, &bytes(1, value.as_bytes()))].concat())
    };
    let resource = [attribute("service.name", "payouts"), attribute("service.version", release)].concat();
    let spans: Vec<u8> = (0..all)
        .flat_map(|i| {
            let status = bytes(15, &number(3, if i < errors { 2 } else { 0 }));
            bytes(2, &[bytes(1, &[7; 16]), bytes(5, b"POST /payouts"), number(6, 2), status].concat())
        })
        .collect();
    bytes(1, &[bytes(1, &resource), bytes(2, &spans)].concat())
}
