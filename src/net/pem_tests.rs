//! Files as people have them.

use rcgen::{CertificateParams, KeyPair};

use super::*;

fn pem(name: &str) -> String {
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn count(content: impl AsRef<[u8]>) -> usize {
    certificates(content.as_ref()).unwrap().len()
}

fn fault(content: impl AsRef<[u8]>) -> String {
    certificates(content.as_ref()).unwrap_err().to_string()
}

/// The two certificates, joined and changed.
fn two(change: impl Fn(&str) -> String) -> String {
    change(&format!("{}{}", pem("a"), pem("b")))
}

#[test]
fn every_certificate_of_a_file_is_read() {
    for (name, content) in [
        ("plain", two(str::to_owned)),
        ("no newline between", two(|it| it.replace("-----\n-----", "----------"))),
        ("no newline at the end", two(|it| it.trim_end().to_owned())),
        ("byte order mark", two(|it| format!("\u{feff}{it}"))),
        ("byte order mark within", format!("{}\u{feff}{}", pem("a"), pem("b"))),
        ("CRLF", two(|it| it.replace('\n', "\r\n"))),
        ("CR", two(|it| it.replace('\n', "\r"))),
        ("leading blanks", two(|it| it.replace('\n', "\n \t  "))),
        ("trailing blanks", two(|it| it.replace('\n', "  \n"))),
        ("text around", two(|it| it.replace("-----BEGIN", "CN = nbu\n\nissuer [x] -----BEGIN"))),
        ("text behind", two(|it| it.replace("E-----\n-----B", "E----- # a CA\n{-----B"))),
        ("a mark within a line", two(|it| it.replace("-----BEGIN", "Certificate: -----BEGIN"))),
        ("X509", two(|it| it.replace(" CERT", " X509 CERT"))),
        ("TRUSTED", two(|it| it.replace(" CERT", " TRUSTED CERT"))),
        ("one line", two(|it| it.replace('\n', ""))),
        ("written line ends", two(|it| it.replace('\n', "\\n"))),
        ("JSON", serde_json::json!({"webRootCert": pem("a"), "cacert": [pem("b")]}).to_string()),
        (
            "a key before",
            format!("{}{}", KeyPair::generate().unwrap().serialize_pem(), two(str::to_owned)),
        ),
    ] {
        assert_eq!(count(&content), 2, "{name}: {content}");
    }
    let wide: Vec<u8> = two(str::to_owned).encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(count([&[0xff, 0xfe], &wide[..]].concat()), 2);
}

#[test]
fn written_pem_is_read_by_the_strict_parser() {
    let read = certificates(two(|it| it.replace('\n', "")).as_bytes()).unwrap();
    let again: Vec<_> = CertificateDer::pem_slice_iter(&write(&read)).flatten().collect();
    assert_eq!(again, read);
}

#[test]
fn damaged_certificate_is_an_error_with_its_line() {
    let first_lines = pem("a").lines().count();
    for (name, content, line) in [
        ("four dashes", two(|it| it.replacen("-----BEGIN", "----BEGIN", 1)), 1),
        ("lower case", format!("{}{}", pem("a"), pem("b").to_lowercase()), first_lines + 1),
        ("other dashes", two(|it| it.replacen("-----BEGIN", "–––––BEGIN", 1)), 1),
        ("two blanks", two(|it| it.replacen("BEGIN C", "BEGIN  C", 1)), 1),
        ("shared dashes", two(|it| it.replace("-----\n-----", "-----")), first_lines),
        ("no end", two(|it| it.replacen("-----END CERTIFICATE-----", "", 1)), 1),
        (
            "no beginning",
            two(|it| it.replacen("-----BEGIN CERTIFICATE-----\n", "", 1)),
            first_lines - 1,
        ),
        ("cut", two(|it| it[..it.len() - 60].to_owned()), first_lines + 1),
        ("request", two(|it| it.replacen("BEGIN C", "BEGIN NEW C", 1)), 1),
        ("other characters", two(|it| it.replacen("\nM", "\n*M", 1)), 2),
        ("quoted", two(|it| it.replace('\n', "\n> ")), 2),
        (
            "missing letters",
            format!("{}{}", pem("a"), pem("b").replacen("\nM", "\n", 1)),
            first_lines + 1,
        ),
    ] {
        let fault = fault(&content);
        assert!(fault.starts_with(&format!("line {line}: ")), "{name}: {fault}\n{content}");
        assert!(!fault.contains("MII"), "{name}: {fault}");
    }
}

#[test]
fn file_without_certificates_is_named_by_its_content() {
    let key = KeyPair::generate().unwrap();
    let der = certificates(pem("a").as_bytes()).unwrap()[0].to_vec();
    for (content, words) in [
        (Vec::new(), "empty"),
        (b" \r\n".to_vec(), "empty"),
        (b"hello".to_vec(), "contains no PEM certificate"),
        (key.serialize_pem().into_bytes(), "but a private key"),
        (b"-----BEGIN PKCS7-----\nAA==\n-----END PKCS7-----\n".to_vec(), "openssl pkcs7"),
        (der, "openssl x509 -inform der"),
        (br#"{"errorCode": 8}"#.to_vec(), "JSON document without PEM"),
        (br#"{"cacert": "#.to_vec(), "not valid JSON"),
    ] {
        let fault = fault(&content);
        assert!(fault.contains(words), "{words}: {fault}");
    }
}

#[test]
fn trusted_certificate_is_read_if_trusted_for_servers() {
    let der = certificates(pem("a").as_bytes()).unwrap()[0].to_vec();
    let server: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    let mail: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04];
    let noted = |tag: u8, usage: &[u8]| {
        let list = [&[tag, 10][..], usage].concat();
        let notes = [&[0x30, 12][..], &list].concat();
        let body = BASE64.encode([der.clone(), notes].concat());
        format!("-----BEGIN TRUSTED CERTIFICATE-----\n{body}\n-----END TRUSTED CERTIFICATE-----\n")
    };
    assert_eq!(certificates(noted(0x30, server).as_bytes()).unwrap()[0].to_vec(), der);
    assert_eq!(count(noted(0xa0, mail)), 1);
    assert!(fault(noted(0x30, mail)).contains("not trusted for servers"));
    assert!(fault(noted(0xa0, server)).contains("not trusted for servers"));
}

#[test]
fn private_key_is_read_or_named_by_its_kind() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    for content in [
        key.clone(),
        format!("\u{feff}{}", key.replace('\n', "\r\n")),
        format!("{}{key}", pem("a").trim_end()),
        key.replace('\n', "\n  "),
    ] {
        assert!(private_key(content.as_bytes()).is_ok(), "{content}");
    }
    let encrypted = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA";
    for (content, words) in [
        (pem("a"), "but a certificate"),
        ("hello".to_owned(), "contains no PEM private key"),
        (String::new(), "empty"),
        (key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "openssl pkey"),
        (format!("-----BEGIN RSA PRIVATE KEY-----\n{encrypted}\n-----END"), "openssl pkey"),
        (key.replace("PRIVATE", "OPENSSH PRIVATE"), "ssh-keygen"),
        (key.replace("-----END", ""), "line 1: the private key that begins here is damaged"),
    ] {
        let fault = private_key(content.as_bytes()).unwrap_err().to_string();
        assert!(fault.contains(words), "{words}: {fault}");
    }
}
