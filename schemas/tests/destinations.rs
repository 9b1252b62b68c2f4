//! Files that describe destinations: what is read, and what is refused where (OB-260).

#![allow(clippy::unwrap_used, reason = "helpers of tests may stop a test")]

use mainspring_schemas::destination::{DestinationDefinition, FieldKind, Method, Success, assemble};

const EXAMPLE: &str = include_str!("../../examples/destinations/crm.yaml");

fn load(text: &str) -> Result<DestinationDefinition, Vec<String>> {
    let (mut definitions, issues) = assemble([("crm.yaml".to_owned(), text.to_owned())]);
    match definitions.pop() {
        Some(definition) if issues.is_empty() => Ok(definition),
        _ => Err(issues.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn ob_260_the_example_is_read() {
    let crm = load(EXAMPLE).unwrap();
    assert_eq!((crm.description.id.as_str(), crm.description.name.as_str()), ("crm", "Acme CRM"));
    assert!(crm.description.takes("email.bounced") && !crm.description.takes("email.*"));
    assert!(crm.description.takes("contact.*"), "each of the group is there");
    let token = crm.description.config.field("token").unwrap();
    assert_eq!((token.kind, token.required, token.secret), (FieldKind::Text, true, true));
    assert_eq!(crm.description.config.field("region").unwrap().default, Some("eu".into()));
    assert_eq!(crm.request.method, Method::Post);
    assert_eq!(crm.success.unwrap().status, (200, 299));
}

#[test]
fn ob_84_a_name_that_looks_like_a_credential_is_one() {
    let text = "destination: a\nevents: ['*']\nrequest: {url: 'https://a.example/'}\nconfig: {accessKey: {type: string}, user: {type: string}}\n";
    let config = load(text).unwrap().description.config;
    assert_eq!(config.fields.iter().map(|field| field.secret).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn ob_111_a_file_sets_no_header_of_the_sender() {
    let with = |name: &str| {
        load(&format!(
            "destination: a\nevents: ['*']\nrequest: {{url: 'https://a.example/', headers: {{{name}: x}}}}\n"
        ))
    };
    for name in [
        "Host",
        "Content-Length",
        "user-agent",
        "Accept-Encoding",
        "TE",
        "Webhook-Signature",
        "svix-id",
        "Proxy-Authorization",
    ] {
        assert!(with(name).is_err(), "{name}");
    }
    for name in ["Authorization", "Content-Type", "Accept", "X-Webhook-Id"] {
        assert!(with(name).is_ok(), "{name}");
    }
}

#[test]
fn ob_260_every_problem_is_named_with_its_place() {
    for (text, expected) in [
        ("[]", vec!["1:1: error: must be a destination, is a list"]),
        ("", vec!["1:1: error: the file holds no destination"]),
        (
            "destination: CRM\nrequst: {}",
            vec![
                "1:1: error: events: the key `events` is missing",
                "1:1: error: request: the key `request` is missing",
                "1:14: error: destination: must be of at most 64 small letters, digits, `-` and `_`",
                "2:1: error: requst: unknown key `requst` (did you mean `request`?)",
            ],
        ),
        (
            "destination: a\nevents: [email.bounce]\nrequest:\n  url: '{{ data.url }}'\n  headers: {Host: x, 'a b': y}\n  json: {who: '{{ dta.id }}'}\n",
            vec![
                "2:10: error: events[0]: unknown type `email.bounce` (did you mean `email.bounced`?)",
                "4:8: error: request.url: must begin with https:// or http://, without an expression in it",
                "5:19: error: request.headers.Host: `Host` is made by the sender",
                "5:29: error: request.headers.a b: is no name of a header",
                "6:15: error: request.json.who: `dta` is not known here; there is envelope, data, endpoint (did you mean `data`?)",
            ],
        ),
        (
            "destination: a\nevents: []\nrequest: {url: 'https://{{ data.h }}/', method: GET}\nsuccess: {status: 99}\nskip_if: {prop: user.id, eq: 1}\n",
            vec![
                "2:9: error: events: must hold a type",
                "3:16: error: request.url: the registrable domain must be literal",
                "3:49: error: request.method: must be one of POST, PUT, PATCH, is `GET`",
                "4:19: error: success.status: must be a status from 200 to 599, or a range of them (write for example 202, or 200-299)",
                "5:17: error: skip_if.prop: `user` is not known here (it begins with envelope or data or endpoint)",
            ],
        ),
        (
            "destination: a\nevents: ['*']\nrequest: {url: 'https://a.example/'}\nconfig:\n  one: {type: text}\n  two: {type: number, default: x}\n  three: {type: string, required: true, default: x}\n  four: {}\n",
            vec![
                "5:15: error: config.one.type: must be one of string, number, boolean, url, is `text`",
                "6:32: error: config.two.default: must be a number, is a string",
                "7:50: error: config.three.default: a required value has no default (leave one of them out)",
                "8:9: error: config.four.type: the key `type` is missing",
            ],
        ),
    ] {
        let issues = load(text).unwrap_err();
        let expected: Vec<String> = expected.into_iter().map(|issue| format!("crm.yaml:{issue}")).collect();
        assert_eq!(issues, expected, "{text}");
    }
}

#[test]
fn ob_260_a_member_of_the_configuration_that_is_not_declared_is_named_with_its_place() {
    let head = "destination: a\nevents: ['*']\nconfig: {token: {type: string}, region: {type: string}}\n";
    let url = "request: {url: 'https://a.example/'";
    let known = "is not known here; there is config.token, config.region";
    for (rest, expected) in [
        (
            "request: {url: 'https://a.example/{{ config.regoin }}'}".to_owned(),
            format!("4:16: error: request.url: `config.regoin` {known} (did you mean `config.region`?)"),
        ),
        (
            format!("{url}, headers: {{X-A: 'Bearer {{{{ config.tokn }}}}'}}}}"),
            format!("4:53: error: request.headers.X-A: `config.tokn` {known} (did you mean `config.token`?)"),
        ),
        (
            format!("{url}, json: {{a: [{{b: '{{{{ data.x | default(config.other.deep) }}}}'}}]}}}}"),
            format!("4:53: error: request.json.a[0].b: `config.other` {known} (did you mean `config.token`?)"),
        ),
        (
            format!("{url}}}\nskip_if: {{any: [{{prop: config.sync, exists: true}}]}}"),
            "5:24: error: skip_if.any[0].prop: `config.sync` is not known here (it begins with config.token or config.region)".to_owned(),
        ),
    ] {
        assert_eq!(load(&format!("{head}{rest}\n")).unwrap_err(), [format!("crm.yaml:{expected}")], "{rest}");
    }
    let good = format!("{head}{url}, json: {{a: '{{{{ config.token }}}}', b: '{{{{ config }}}}'}}}}\n");
    load(&good).unwrap();
    // Without a declaration there is no configuration; with a broken one only the declaration is told.
    let bare = "destination: a\nevents: ['*']\nrequest: {url: 'https://a.example/{{ config.x }}'}\n";
    let issue =
        "crm.yaml:3:16: error: request.url: `config` is not known here; there is envelope, data, endpoint";
    assert_eq!(load(bare).unwrap_err(), [issue]);
    assert_eq!(load(&format!("{bare}config: {{x: {{type: text}}}}\n")).unwrap_err().len(), 1);
}

#[test]
fn oc_93_a_destination_does_not_say_what_is_a_replay() {
    let text = "destination: a\nevents: ['*']\nrequest: {url: 'https://a.example/', headers: {Webhook-Replay: 'true'}}\n";
    let issues = load(text).unwrap_err();
    assert!(issues[0].contains("`Webhook-Replay` is made by the sender"), "{issues:?}");
}

#[test]
fn ob_260_two_files_do_not_describe_one_destination() {
    let files = ["b.yaml", "a.yaml"].map(|name| (name.to_owned(), EXAMPLE.to_owned()));
    let (definitions, issues) = assemble(files);
    assert_eq!(definitions.len(), 1);
    assert_eq!(issues.len(), 1);
    assert!(
        issues[0]
            .to_string()
            .starts_with("b.yaml:7:14: error: destination: duplicate destination `crm` (also at a.yaml:7:14")
    );
}

#[test]
fn ob_140_success_is_a_status_and_what_the_body_says() {
    let success = |contains: Option<&str>, lacks: Option<&str>| Success {
        status: (200, 202),
        body_contains: contains.map(str::to_owned),
        body_not_contains: lacks.map(str::to_owned),
    };
    for (rule, status, body, accepted) in [
        (success(None, None), 202, "", true),
        (success(None, None), 204, "", false),
        (success(Some("ok"), None), 200, "is ok", true),
        (success(Some("ok"), None), 200, "o", false),
        (success(None, Some("\"ok\":false")), 200, "{\"ok\":true}", true),
        (success(None, Some("\"ok\":false")), 200, "{\"ok\":false}", false),
    ] {
        assert_eq!(rule.accepts(status, body.as_bytes()), accepted, "{rule:?} {status} {body}");
    }
}
