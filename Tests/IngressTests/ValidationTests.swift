import Domain
import Foundation
import Messaging
import TestSupport
import Testing
import Transport

@testable import Ingress

@Suite struct ValidationTests {
    @Test(.timeLimit(.minutes(1)))
    func everyInvalidFieldIsListed() async throws {
        try await withIngress { ingress in
            let body = """
                {"customer":{"name":" ","email":"not an address","phone":"12","nickname":"D"},
                 "site":{"address":"x\\u0000y","time_zone":"Mars/Olympus"},
                 "service":"Patching!","priority":"urgent","starts_at":"2027-03-16T08:00:00",
                 "duration_minutes":5,"crew":"res_nope","notes":17,"a/b~c":true}
                """
            let response = try await ingress.send(
                "POST", "/v1/jobs", headers: [("Idempotency-Key", "k")], body: body)
            #expect(response.status == 422)
            #expect(response.problemType == "validation")
            #expect(
                response.invalidFields == [
                    "/a~1b~0c", "/crew", "/customer/email", "/customer/name", "/customer/nickname", "/customer/phone",
                    "/duration_minutes", "/notes", "/priority", "/service", "/site/address", "/site/time_zone",
                    "/starts_at",
                ])
            #expect(await ingress.operations.count == 0, "an invalid request uses up no key")
            #expect(try response.json["instance"] as? String == "/v1/jobs")
            #expect(try response.json["request_id"] as? String == response.headers["X-Request-Id"])
        }
    }

    @Test(arguments: [
        (#"{}"#, ["/customer", "/service", "/site"]),
        (#"{"customer":null,"site":[],"service":{}}"#, ["/customer", "/service", "/site"]),
        (#"{"customer":{},"site":{},"service":"x"}"#, ["/customer/name", "/site/address", "/site/time_zone"]),
        ("[]", [""]), ("17", [""]),
    ])
    func missingAndMistypedFieldsArePointedTo(body: String, pointers: [String]) throws {
        let problem = try #require(throws: ProblemResponse.self) { try JobInput.create(Array(body.utf8)) }
        #expect(problem.problem.status == 422)
        #expect(problem.problem.errors.map(\.pointer).sorted() == pointers)
    }

    @Test(arguments: [
        "", "{", "nul", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{'a':1}", "\u{FEFF}{}", "{} {}", "{\"a\":01}", "{\"a\":+1}",
        "{\"a\":1.}", "{\"a\":\"\\x\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\n\"}", "{\"a\":1,\"a\":2}",
        String(repeating: "[", count: 100_000),
    ])
    func whatIsNotJSONIsMalformed(body: String) throws {
        let problem = try #require(throws: ProblemResponse.self) { try JobInput.create(Array(body.utf8)) }
        #expect(problem.problem.status == 400)
    }

    @Test func bytesThatAreNotUTF8AreMalformed() throws {
        let problem = try #require(throws: ProblemResponse.self) { try JobInput.create([0x7B, 0xFF, 0x7D]) }
        #expect(problem.problem.status == 400)
    }

    @Test func parserKeepsWhatWasSent() throws {
        let text = #"{"a":[1,-2.5e3,true,false,null,"\u00e9\ud83d\ude00\n\"\\"],"b":{"c":{}}}"#
        let value = try JSONParser.parse(Array(text.utf8))
        #expect(
            value
                == .object([
                    "a": .array([
                        .number("1"), .number("-2.5e3"), .bool(true), .bool(false), .null, .string("é😀\n\"\\"),
                    ]), "b": .object(["c": .object([:])]),
                ]))
        #expect(try JSONParser.parse(value.encoded()) == value)
    }

    @Test func parserAgreesWithFoundationOnRandomInput() {
        var generator = SeededGenerator(seed: 7)
        let pieces = [
            "{", "}", "[", "]", ":", ",", "\"a\"", "\"", "1", "-", "0", ".", "true", "nul", " ", "\\u00", "é",
        ]
        for _ in 0..<5_000 {
            let text = (0..<Int.random(in: 1...8, using: &generator)).map { _ in
                pieces.randomElement(using: &generator)!
            }
            .joined()
            let ours = (try? JSONParser.parse(Array(text.utf8))) != nil
            let theirs = (try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)) != nil
            // Foundation takes repeated names, never the other way round. (It refuses exponents that no Double has.)
            if ours { #expect(theirs, "\(text)") }
        }
    }

    @Test(arguments: [
        ("2027-03-16T08:00:00-04:00", 1_805_198_400.0), ("2027-03-16T12:00:00Z", 1_805_198_400),
        ("2027-03-16T12:00:00.25Z", 1_805_198_400.25), ("2028-02-29T00:00:00Z", 1_835_395_200),
        ("2000-01-01T00:00:00+00:00", 946_684_800), ("2199-12-31T23:59:59+05:30", 7_258_098_599),
        ("2027-03-16T23:30:00-12:00", 1_805_283_000),
    ])
    func instantsAreReadExactly(text: String, seconds: Double) {
        #expect(InstantText.parse(text)?.timeIntervalSince1970 == seconds)
    }

    @Test(arguments: [
        "", "2027-03-16", "2027-03-16T08:00:00", "2027-03-16 08:00:00Z", "2027-03-16T08:00Z", "2027-02-29T00:00:00Z",
        "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z", "2027-01-32T00:00:00Z", "2027-03-16T24:00:00Z",
        "2027-03-16T08:60:00Z", "2027-03-16T08:00:60Z", "2027-03-16T08:00:00+0400", "2027-03-16T08:00:00+04",
        "2027-03-16T08:00:00+24:00", "2027-03-16T08:00:00.Z", "2027-03-16T08:00:00.1234567890Z", "1999-12-31T00:00:00Z",
        "2200-01-01T00:00:00Z", "tomorrow", "2027-03-16T08:00:00ZZ", "２027-03-16T08:00:00Z", "2027-03-16T08:00:00",
    ])
    func otherTextsAreNoInstants(text: String) {
        #expect(InstantText.parse(text) == nil)
    }

    @Test(arguments: [
        "a@b.co", "first.last+tag@sub.example.com", "o'brien@example.ie", "1@2.org", "x_y-z@a-b.com",
        "zoe@xn--exmple-cua.de", String(repeating: "a", count: 64) + "@b.co",
    ])
    func addressesOfPeopleAreTaken(text: String) {
        #expect(TextRules.email(text) == nil)
        #expect(throws: Never.self) { try Mailbox(address: text) }
    }

    @Test(arguments: ["zoë@exämple.de", "zoë@example.de", "zoe@exämple.de", "-a@b.co", "ａ@b.co", "a@b.ｃo"])
    func whatNoMailCanBeSentToIsNotBooked(text: String) {
        #expect(throws: Mailbox.InvalidAddress.self) { try Mailbox(address: text) }
        #expect(TextRules.email(text)?.code == "format")
    }

    @Test(arguments: [
        "", "a", "a@", "@b.co", "a@b", "a@@b.co", "a b@c.de", "a..b@c.de", ".a@c.de", "a@-b.co", "a@b..co",
        "a@b.co\r\n",
        "a@b.co>", "<a@b.co", "a.@b.co", "a@[127.0.0.1]", "a,b@c.de", "a@b.co,c@d.ef", "\"a\"@b.co",
        String(repeating: "a", count: 65) + "@b.co", "a@" + String(repeating: "b.", count: 130) + "co",
    ])
    func otherTextsAreNoAddresses(text: String) {
        #expect(TextRules.email(text) != nil)
    }

    @Test(arguments: ["+16145550142", "+1 (614) 555-0142", "614.555.0142", "5550142", "+442079460018"])
    func phoneNumbersAreTaken(text: String) {
        #expect(TextRules.phone(text) == nil)
    }

    @Test(arguments: [
        "", "+", "12", "1-800-FLOWERS", "+1234567890123456", "++16145550142", "6145550142 x9", "６１４５５５０１４２",
    ])
    func otherTextsAreNoPhoneNumbers(text: String) {
        #expect(TextRules.phone(text) != nil)
    }

    @Test(arguments: ["America/New_York", "Pacific/Honolulu", "Europe/Berlin", "UTC", "America/Indiana/Knox"])
    func zonesAreKnownByName(text: String) {
        #expect(TextRules.timeZone(text) == nil)
    }

    @Test(arguments: ["", "EST", "GMT+5", "+05:00", "Mars/Olympus", "America/New York", "../../etc/passwd", "America/"])
    func otherTextsAreNoZones(text: String) {
        #expect(TextRules.timeZone(text) != nil)
    }

    @Test(
        arguments: [
            ("15", 15), ("1440", 1_440), ("90.0", 90), ("9e1", 90), ("14", nil), ("1441", nil), ("90.5", nil),
            ("\"90\"", nil), ("true", nil), ("1e400", nil), ("99999999999999999999", nil),
        ] as [(String, Int?)])
    func durationsAreWholeMinutesInRange(text: String, minutes: Int?) throws {
        let body = #"{"starts_at":"2027-03-16T12:00:00Z","duration_minutes":\#(text)}"#
        if let minutes {
            #expect(try JobInput.reschedule(Array(body.utf8)).durationMinutes == minutes)
        } else {
            let problem = try #require(throws: ProblemResponse.self) { try JobInput.reschedule(Array(body.utf8)) }
            #expect(problem.problem.errors.map(\.pointer) == ["/duration_minutes"])
        }
    }

    @Test func lengthsAreCountedInCharactersAndLineBreaksBelongToNotes() throws {
        func notes(_ text: String) throws -> String? {
            let quoted = String(decoding: JSONValue.string(text).encoded(), as: UTF8.self)
            return try JobInput.cancel(Array(#"{"reason":\#(quoted)}"#.utf8)).reason
        }
        #expect(try notes(String(repeating: "é", count: 1_000))?.count == 1_000)
        #expect(throws: ProblemResponse.self) { try notes(String(repeating: "é", count: 1_001)) }
        #expect(try notes("one\ntwo\tthree") == "one\ntwo\tthree")
        for character in ["\u{0}", "\u{7}", "\u{1B}", "\u{7F}", "\u{85}", "\u{2028}"] {
            #expect(throws: ProblemResponse.self) { try notes("a" + character + "b") }
        }
    }
}
