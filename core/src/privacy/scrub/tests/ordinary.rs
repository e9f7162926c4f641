//! What is no finding: ordinary text of code, logs and model cards stays as it is.

use super::*;

#[test]
fn figures_of_logs_and_model_cards_stay_as_they_are() {
    for text in [
        "{\"loss\": 0.031234568}",
        "loss 0.0123 0.0456",
        "0.05 0.07 0.03 0.02",
        "standard_deviation: 0.31234567",
        "12.34567",
        "mobile 12.34567",
        "256 512 1024",
        "640 480 320",
        "768 768 768",
        "678 901 234",
        "64 128 32 16",
        "00 01 02 03 04",
        "0001 0002 0003",
        "0 0 49 30 901820",
        "1.23 4.56 7.89 phone",
        "calls: 1234567",
        "reach 12345678",
        "ring 12345678",
        "standard 12345678",
    ] {
        assert_nothing(text);
    }
    // What a word announces is found in the same form.
    assert_found(Kind::Phone, "phone {}", "256 512 1024");
    assert_found(Kind::Phone, "movil {}", "678 901 234");
}

#[test]
fn words_that_are_also_names_stay_as_they_are() {
    for text in [
        "Le serveur ne répond plus depuis le 12/03/2024",
        "NATO met on 12/03/2024",
        "native build of 12/03/2024",
        "Max: 0.93",
        "Max Pooling",
        "Adam Optimizer",
        "Per-class accuracy",
        "Per Class Accuracy",
        "Bill Payment",
        "Miss Rate",
        "Pan American",
        "MS Excel",
        "{\"layer_name\": \"Dense Block\"}",
        "{\"name\": \"Tiny Llama\"}",
        "{\"name\": \"Max Pooling\"}",
        "name: Tiny Llama",
    ] {
        assert_nothing(text);
    }
    for (text, name) in [
        ("{\"name\": \"{}\"}", "Anna Weber"),
        ("Name: {}", "Zorblat Quuxley"),
        ("ask {}", "Max Weber"),
        ("ask {}", "Miss Weber"),
    ] {
        assert_found(Kind::PersonName, text, name);
    }
    for text in [
        "né le {}",
        "né(e) le {}",
        "Elle est née à Lyon le {}",
        "né à Lyon le {}",
        "nata il {}",
        "nato a Roma il {}",
    ] {
        assert_found(Kind::BirthDate, text, "12/03/1985");
    }
}

#[test]
fn code_and_paths_stay_as_they_are() {
    for text in [
        "x[::2]",
        "x[1::2]",
        "x[:, 1::2, ::3]",
        "x[::1]",
        "y = x[100::20]",
        "address[::2]",
        "src/users/models.py",
        concat!("components/ho", "me/Header.tsx"),
        "https://api.example.org/v1/users/list",
        concat!("https://example.org/ho", "me/start.html"),
        "GET /users/list",
        "primary key: user_id",
        "key=str.lower",
        "sorted(rows, key=operator.itemgetter)",
        "key: conv1.weight",
        "key: encoder.layer.11.attention.k_proj",
        "key: block2a_expand_conv",
        "tokens: 1,234,567,890",
        "max_tokens=4096*128",
        "auth: oauth2.provider",
    ] {
        assert_nothing(text);
    }
    assert_found(Kind::IpAddress, "ping {}", "1::2");
    assert_found(Kind::IpAddress, "http://[{}]:80/", "fe80::1");
    assert_found(Kind::IpAddress, "listens on {}", "::1");
    assert_found(Kind::Secret, "token: {}", "q7Zp2Lx9Vb4");
    for path in [
        ["file:///ho", "me/jdoe/x.csv"].concat(),
        ["/mnt/c/Us", "ers/jdoe/x.csv"].concat(),
        ["/export/ho", "me/jdoe/x.csv"].concat(),
        ["-I/ho", "me/jdoe/include"].concat(),
    ] {
        assert_found(Kind::UserPath, "open {} failed", &path);
    }
}
