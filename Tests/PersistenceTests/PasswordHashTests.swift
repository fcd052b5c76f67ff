import Foundation
import Persistence
import Testing

@Suite struct PasswordHashTests {
    private static let cheap = PasswordHash.Parameters(costExponent: 4)

    /// RFC 7914 section 12, the third vector: N = 16384, r = 8, p = 1.
    @Test func itIsTheScryptThatEverybodyElseHas() throws {
        let key =
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
            + "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
        let bytes = stride(from: 0, to: key.count, by: 2).map { offset in
            UInt8(key.dropFirst(offset).prefix(2), radix: 16) ?? 0
        }
        func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString().replacing("=", with: "") }
        let text = "$scrypt$ln=14,r=8,p=1$\(base64(Array("SodiumChloride".utf8)))$\(base64(bytes))"
        let hash = try #require(PasswordHash(text: text))
        #expect(try hash.matches("pleaseletmein"))
        #expect(try !hash.matches("pleaseletmeim"))
    }

    @Test func theStandardIsWhatOWASPRecommends() throws {
        #expect(
            PasswordHash.Parameters.standard == PasswordHash.Parameters(costExponent: 17, blockSize: 8, parallelism: 1))
        #expect(PasswordHash.Parameters.standard.memoryBytes == 128 << 20)
        #expect(try PasswordHash(of: "seven purple wheelbarrows").text.hasPrefix("$scrypt$ln=17,r=8,p=1$"))
    }

    @Test func aHashMatchesItsPasswordAndNoOther() throws {
        let hash = try PasswordHash(of: "seven purple wheelbarrows", parameters: Self.cheap)
        let stored = try #require(PasswordHash(text: hash.text))
        #expect(stored == hash)
        #expect(try stored.matches("seven purple wheelbarrows"))
        for other in ["", "seven purple wheelbarrow", "seven purple wheelbarrows ", "Seven purple wheelbarrows"] {
            #expect(try !stored.matches(other), "\(other)")
        }
        let again = try PasswordHash(of: "seven purple wheelbarrows", parameters: Self.cheap)
        #expect(again.text != hash.text, "each has a salt of its own")
        #expect(!"\(hash)".contains("$"), "no log gets the hash by accident")
    }

    @Test func twoWaysToWriteACharacterAreOnePassword() throws {
        let composed = try PasswordHash(of: "caf\u{E9} au lait \u{FB01}", parameters: Self.cheap)
        #expect(try composed.matches("cafe\u{301} au lait fi"))
    }

    @Test(arguments: [
        "", "seven purple wheelbarrows", "$scrypt$", "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHQ", "$2b$10$abcdefghijklmnop",
        "$scrypt$ln=4,r=8$c2FsdHNhbHRzYWx0$a2V5a2V5a2V5a2V5a2V5a2V5",
        "$scrypt$ln=40,r=8,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5a2V5",
        "$scrypt$ln=x,r=8,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5a2V5", "$scrypt$ln=4,r=8,p=1$!$a2V5a2V5a2V5a2V5a2V5a2V5",
        "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHQ$", "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHQ$a2V5",
    ])
    func whatIsNoHashIsNotRead(text: String) {
        #expect(PasswordHash(text: text) == nil)
    }

    @Test func lessWorkThanWantedIsWeaker() throws {
        let hash = try PasswordHash(of: "seven purple wheelbarrows", parameters: Self.cheap)
        #expect(!hash.isWeaker(than: Self.cheap))
        #expect(!hash.isWeaker(than: PasswordHash.Parameters(costExponent: 3)))
        #expect(hash.isWeaker(than: PasswordHash.Parameters(costExponent: 5)))
        #expect(hash.isWeaker(than: PasswordHash.Parameters(costExponent: 4, parallelism: 2)))
    }

    @Test func theHashOfNothingMatchesNothing() throws {
        let hash = PasswordHash.ofNothing(parameters: Self.cheap)
        for password in ["", "seven purple wheelbarrows", "nothing"] { #expect(try !hash.matches(password)) }
        #expect(PasswordHash(text: hash.text) == hash)
    }
}

@Suite struct PasswordRulesTests {
    private static let about = ["maria.gonzalez@neffpaving.example", "Maria Gonzalez"]

    @Test(arguments: [
        "seven purple wheelbarrows", "Zq7!pV2#xW9s", "αβγδεζηθικλμ gravel", "twelve chars", "ohio gravel umbrella moon",
        "maria likes warm asphalt in june", String(repeating: "long words ", count: 11) + "end",
    ])
    func longPasswordsOfAnyKindWillDo(password: String) {
        #expect(PasswordRules.fault(password, about: Self.about)?.code == nil)
    }

    @Test(arguments: [
        ("", "too_short"), ("elevenchars", "too_short"), (String(repeating: "ab cd ef gh", count: 12), "too_long"),
        ("aaaaaaaaaaaaaaaa", "common"), ("abababababababab", "common"), ("letmein!letmein!", "common"),
        ("123456789012", "common"), ("098765432109", "common"), ("abcdefghijklmnop", "common"),
        ("qwertyuiopasdf", "common"), ("1q2w3e4r5t6y7u", "common"), ("password1234", "common"),
        ("Password2027!", "common"), ("P@ssw0rd2027!!", "common"), ("123administrator", "common"),
        ("passwordpassword", "common"), ("Welcome12345!", "common"), ("iloveyou123456", "common"),
        ("changeme!!!2027", "common"), ("correcthorsebatterystaple", "common"), ("Summer2027!!!", "common"),
        ("maria.gonzalez@neffpaving.example", "personal"), ("MariaGonzalez1", "personal"),
        ("gonzalez.maria", "personal"), ("NeffPaving2027", "personal"), ("neffscheduling", "personal"),
    ])
    func whatIsGuessedFirstIsRefused(password: String, code: String) {
        let fault = PasswordRules.fault(password, about: Self.about)
        #expect(fault?.code == code, "\(password)")
        #expect(password.isEmpty || fault?.detail.contains(password) != true, "it is not repeated")
    }
}
