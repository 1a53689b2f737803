//! What Python sends, every type, what is refused, cuts at every byte, and round trips.

use proptest::prelude::*;

use super::*;

fn call(inner: &str) -> Result<Vec<Value>, What> {
    let text = format!(
        "<methodCall><methodName>m</methodName><params><param><value>{inner}</value></param></params></methodCall>"
    );
    let call = Call::decode(text.as_bytes());
    call.map(|call| call.params)
        .map_err(|malformed| malformed.what)
}

fn value(inner: &str) -> Value {
    call(inner).unwrap().remove(0)
}

/// What Python's xmlrpc.client sends for every type it has.
const PYTHON: &str = "<?xml version='1.0'?>\n<methodCall>\n<methodName>server_stop</methodName>\n<params>\n<param>\n\
    <value><array><data>\n<value><string>plain</string></value>\n<value><string>ada</string></value>\n\
    <value><string>s&lt;&amp;&gt;\u{e9}</string></value>\n</data></array></value>\n</param>\n<param>\n\
    <value><array><data>\n<value><int>7</int></value>\n<value><string>a\r\nb</string></value>\n\
    <value><boolean>1</boolean></value>\n<value><double>1.5</double></value>\n<value><base64>\n\
    AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A\n/wD/\n</base64></value>\n\
    <value><dateTime.iso8601>19980717T14:08:55</dateTime.iso8601></value>\n<value><struct>\n<member>\n\
    <name>k</name>\n<value><array><data>\n</data></array></value>\n</member>\n<member>\n<name>e</name>\n\
    <value><string></string></value>\n</member>\n</struct></value>\n</data></array></value>\n</param>\n</params>\n\
    </methodCall>\n";

fn of_python() -> Call {
    let moment = jiff::civil::date(1998, 7, 17).at(14, 8, 55, 0);
    Call {
        method: "server_stop".into(),
        params: vec![
            vec!["plain".into(), "ada".into(), "s<&>\u{e9}".into()].into(),
            vec![
                Value::Int(7),
                "a\r\nb".into(),
                true.into(),
                Value::Double(1.5),
                Value::Base64([0, 0xff].repeat(30)),
                Value::DateTime(moment),
                Value::record([("k", Value::Array(Vec::new())), ("e", "".into())]),
            ]
            .into(),
        ],
    }
}

#[test]
fn what_python_sends_is_understood() {
    assert_eq!(Call::decode(PYTHON.as_bytes()), Ok(of_python()));
    let response = "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><boolean>1</boolean></value>\n\
        </param>\n</params>\n</methodResponse>\n";
    let response = Response::decode(response.as_bytes());
    assert_eq!(response, Ok(Response::Value(true.into())));
    let fault = "<?xml version='1.0'?>\n<methodResponse>\n<fault>\n<value><struct>\n<member>\n<name>faultCode</name>\n\
        <value><int>3001</int></value>\n</member>\n<member>\n<name>faultString</name>\n\
        <value><string>no &lt;server&gt;</string></value>\n</member>\n</struct></value>\n</fault>\n</methodResponse>\n";
    let (code, text) = (3001, "no <server>".into());
    assert_eq!(
        Response::decode(fault.as_bytes()),
        Ok(Response::Fault { code, text })
    );
}

#[test]
fn answers_have_these_bytes() {
    let answer = Response::Value(vec![true.into(), Value::Int(-1), "a\r<b".into()].into());
    assert_eq!(
        String::from_utf8(answer.encode().unwrap()).unwrap(),
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><methodResponse><params><param><value><array><data>\
         <value><boolean>1</boolean></value><value><int>-1</int></value><value><string>a&#13;&lt;b</string></value>\
         </data></array></value></param></params></methodResponse>"
    );
    let (code, text) = (8001, "function x\u{1} not found".into());
    let fault = Response::Fault { code, text }.encode().unwrap();
    assert_eq!(
        String::from_utf8(fault).unwrap(),
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><methodResponse><fault><value><struct><member><name>faultCode</name>\
         <value><int>8001</int></value></member><member><name>faultString</name>\
         <value><string>function x\u{fffd} not found</string></value></member></struct></value></fault></methodResponse>"
    );
}

#[test]
fn a_value_is_read_in_every_way_that_it_is_written() {
    for (written, meant) in [
        ("", "".into()),
        (" a b ", " a b ".into()),
        ("<string/>", "".into()),
        ("<string> x </string>", " x ".into()),
        ("a<!-- not this -->b", "ab".into()),
        ("<string><![CDATA[<&]]>&gt;<?pi?></string>", "<&>".into()),
        ("&lt;&amp;&apos;&quot;&#65;&#x42;&#13;", "<&'\"AB\r".into()),
        (" <int> 7 </int> ", Value::Int(7)),
        ("<i4>-2147483648</i4>", Value::Int(-2_147_483_648)),
        ("<i8>2147483648</i8>", Value::Int(2_147_483_648)),
        ("<int>+5</int>", Value::Int(5)),
        ("<boolean>0</boolean>", false.into()),
        ("<double>-1e3</double>", Value::Double(-1000.0)),
        ("<base64/>", Value::Base64(Vec::new())),
        (
            "<base64>\r\n YW \t Jj\n</base64>",
            Value::Base64(b"abc".to_vec()),
        ),
        ("<array><data/></array>", Value::Array(Vec::new())),
        ("<struct/>", Value::record([])),
        (
            "<dateTime.iso8601>2026-01-02T03:04:05Z</dateTime.iso8601>",
            Value::DateTime(jiff::civil::date(2026, 1, 2).at(3, 4, 5, 0)),
        ),
    ] {
        assert_eq!(value(written), meant, "{written}");
    }
    let bare = Call::decode(b"\xef\xbb\xbf<methodCall><methodName> m </methodName></methodCall> ")
        .unwrap();
    assert_eq!((bare.method.as_str(), bare.params), ("m", Vec::new()));
}

#[test]
fn what_is_wrong_is_said() {
    for (written, wrong) in [
        ("<nil/>", "nil"),
        ("<ex:nil/>", "nil"),
        ("<int></int>", "no int"),
        ("<int>2147483648</int>", "no int"),
        ("<i4>7.0</i4>", "no int"),
        ("<i8>9223372036854775808</i8>", "no i8"),
        ("<boolean>true</boolean>", "no boolean"),
        ("<double>nan</double>", "no double"),
        ("<double>inf</double>", "no double"),
        ("<base64>YW=Jj</base64>", "no base64"),
        ("<base64>YQ</base64>", "no base64"),
        (
            "<dateTime.iso8601>tomorrow</dateTime.iso8601>",
            "no dateTime",
        ),
        (
            "<dateTime.iso8601>20260231T00:00:00</dateTime.iso8601>",
            "no dateTime",
        ),
        ("<decimal>1</decimal>", "no type <decimal>"),
        (
            "<struct><member><name>a</name><value/></member><member><name>a</name><value/></member></struct>",
            "two members",
        ),
        ("<struct><value/></struct>", "in the place of <member>"),
        ("<array><value/></array>", "in the place of <data>"),
        ("<string><b/></string>", "in the place of"),
        ("x<int>1</int>", "text in the place"),
        ("<int>1</int>x", "text in the place"),
        ("<int>1</int><int>1</int>", "in the place of"),
        ("&nbsp;", "&nbsp;"),
        ("&lol9;", "&lol9;"),
        ("&#0;", "&#0;"),
        ("&#27;", "U+001B"),
        ("&#xD800;", "entity"),
        ("a\u{b}b", "U+000B"),
        ("\u{ffff}", "U+FFFF"),
        ("<int>1", "XML"),
        ("<int>1</i4>", "XML"),
    ] {
        let error = call(written).unwrap_err().to_string();
        assert!(error.contains(wrong), "{written}: {error}");
    }
    for (document, wrong) in [
        (
            &b"<!DOCTYPE x [<!ENTITY a \"b\">]><methodCall/>"[..],
            "DOCTYPE",
        ),
        (
            b"<?xml version='1.0' encoding='utf-16'?><methodCall/>",
            "UTF-8",
        ),
        (
            b"<methodCall><methodName>\xff</methodName></methodCall>",
            "UTF-8",
        ),
        (
            b"<methodCall><methodName></methodName></methodCall>",
            "name",
        ),
        (
            b"<methodCall><methodName>m</methodName></methodCall><x/>",
            "more",
        ),
        (b"<methodResponse/>", "methodCall"),
        (b"{\"jsonrpc\": 2}", "methodCall"),
        (b"", "early"),
    ] {
        let error = Call::decode(document).unwrap_err().to_string();
        assert!(error.contains(wrong), "{document:?}: {error}");
    }
}

#[test]
fn depth_and_number_are_bounded() {
    let nested = |depth: usize| {
        let (open, close) = ("<array><data><value>", "</value></data></array>");
        call(&format!("{}x{}", open.repeat(depth), close.repeat(depth)))
    };
    assert!(nested(MAX_DEPTH - 1).is_ok());
    assert_eq!(nested(MAX_DEPTH), Err(What::Deep));
    assert_eq!(nested(100_000), Err(What::Deep));
    let many = |count| {
        call(&format!(
            "<array><data>{}</data></array>",
            "<value/>".repeat(count)
        ))
    };
    assert!(many(MAX_VALUES - 1).is_ok());
    assert_eq!(many(MAX_VALUES), Err(What::Many));
    assert!(call(&"<x>".repeat(100_000)).is_err());
}

#[test]
fn what_xml_cannot_carry_goes_as_base64_and_what_xml_rpc_cannot_is_refused() {
    let answer = Response::Value("a\u{0}b".into()).encode().unwrap();
    let bytes = Value::Base64(b"a\0b".to_vec());
    assert_eq!(Response::decode(&answer), Ok(Response::Value(bytes)));
    let beyond = i64::from(i32::MAX) + 1;
    for (value, error) in [
        (Value::Int(beyond), Unspeakable::Int(beyond)),
        (
            Value::Double(f64::INFINITY),
            Unspeakable::Double(f64::INFINITY),
        ),
        (Value::record([("\u{1}", true.into())]), Unspeakable::Name),
    ] {
        assert_eq!(Response::Value(value).encode(), Err(error));
    }
}

#[test]
fn a_document_cut_anywhere_is_none() {
    let whole = PYTHON.trim_end().as_bytes();
    for length in 0..whole.len() {
        assert!(Call::decode(&whole[..length]).is_err(), "cut at {length}");
    }
    let response = Response::Value(of_python().params.into()).encode().unwrap();
    for length in 0..response.len() {
        assert!(
            Response::decode(&response[..length]).is_err(),
            "cut at {length}"
        );
    }
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>().prop_filter("XML", |c| is_xml(*c)), 0..12)
        .prop_map(|chars| chars.into_iter().collect())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(|number| Value::Int(number.into())),
        any::<bool>().prop_map(Value::Boolean),
        text().prop_map(Value::String),
        prop::num::f64::NORMAL.prop_map(Value::Double),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Base64),
        (1i16..=9999, 1i8..=12, 1i8..=28, 0i8..24, 0i8..60, 0i8..60).prop_map(
            |(y, m, d, h, n, s)| { Value::DateTime(jiff::civil::date(y, m, d).at(h, n, s, 0)) }
        ),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(Value::Struct),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(params in prop::collection::vec(values(), 0..4), value in values(), code: i32, said in text()) {
        let call = Call { method: "mottdd.server_stop".into(), params };
        prop_assert_eq!(Call::decode(&call.encode().unwrap()), Ok(call));
        for response in [Response::Value(value), Response::Fault { code, text: said }] {
            prop_assert_eq!(Response::decode(&response.encode().unwrap()), Ok(response));
        }
    }

    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..PYTHON.len(), junk: u8) {
        Call::decode(&bytes).ok();
        Response::decode(&bytes).ok();
        let mut bent = PYTHON.as_bytes().to_vec();
        bent[at] = junk;
        Call::decode(&bent).ok();
    }
}
