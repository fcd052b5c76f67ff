import Messaging
import Testing

@Suite struct JSONPatchTests {
    static func parse(_ text: String) throws -> JSONValue { try JSONParser.parse(Array(text.utf8)) }

    /// Document, patch, result; nil where the patch must be refused. The cases of RFC 6902, appendix A, and more.
    @Test(
        arguments: [
            (#"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz","value":"qux"}]"#, #"{"baz":"qux","foo":"bar"}"#),
            (#"{"foo":["a","c"]}"#, #"[{"op":"add","path":"/foo/1","value":"b"}]"#, #"{"foo":["a","b","c"]}"#),
            (#"{"a":1,"b":2}"#, #"[{"op":"remove","path":"/a"}]"#, #"{"b":2}"#),
            (#"{"foo":["a","b","c"]}"#, #"[{"op":"remove","path":"/foo/1"}]"#, #"{"foo":["a","c"]}"#),
            (#"{"a":1}"#, #"[{"op":"replace","path":"/a","value":null}]"#, #"{"a":null}"#),
            (#"{"a":{"b":1},"c":{}}"#, #"[{"op":"move","from":"/a/b","path":"/c/d"}]"#, #"{"a":{},"c":{"d":1}}"#),
            (#"{"l":[1,2,3]}"#, #"[{"op":"move","from":"/l/0","path":"/l/2"}]"#, #"{"l":[2,3,1]}"#),
            (#"{"a":[1]}"#, #"[{"op":"copy","from":"/a","path":"/b"}]"#, #"{"a":[1],"b":[1]}"#),
            (
                #"{"a":"x"}"#, #"[{"op":"test","path":"/a","value":"x"},{"op":"add","path":"/b","value":1}]"#,
                #"{"a":"x","b":1}"#
            ),
            (#"{"a":"x"}"#, #"[{"op":"test","path":"/a","value":"y"},{"op":"add","path":"/b","value":1}]"#, nil),
            (#"{"l":[1]}"#, #"[{"op":"add","path":"/l/-","value":2}]"#, #"{"l":[1,2]}"#),
            (#"{"l":[1]}"#, #"[{"op":"add","path":"/l/2","value":2}]"#, nil),
            (#"{"l":[1]}"#, #"[{"op":"add","path":"/l/01","value":2}]"#, nil),
            (#"{"l":[1]}"#, #"[{"op":"replace","path":"/l/-","value":2}]"#, nil),
            (#"{}"#, #"[{"op":"add","path":"/a/b","value":1}]"#, nil),
            (#"{}"#, #"[{"op":"remove","path":"/a"}]"#, nil), (#"{}"#, #"[{"op":"remove","path":""}]"#, nil),
            (#"{"a":1}"#, #"[{"op":"replace","path":"","value":[]}]"#, "[]"),
            (
                #"{"a/b":1,"m~n":2}"#, #"[{"op":"remove","path":"/a~1b"},{"op":"replace","path":"/m~0n","value":3}]"#,
                #"{"m~n":3}"#
            ),
            (#"{"a":{"b":1}}"#, #"[{"op":"move","from":"/a","path":"/a/b"}]"#, nil),
            (#"{"a":1}"#, #"[{"op":"add","path":"a","value":1}]"#, nil),
            (#"{"a":1}"#, #"[{"op":"add","path":"/b"}]"#, nil),
            (#"{"a":1}"#, #"[{"op":"jump","path":"/b"}]"#, nil), (#"{"a":1}"#, #"{"op":"add"}"#, nil),
            (#"{"a":1}"#, #"[{"op":"replace","path":"/a/b","value":1}]"#, nil),
            (
                #"{"n":12345678901234567890.10}"#, #"[{"op":"add","path":"/a","value":1e2}]"#,
                #"{"a":1e2,"n":12345678901234567890.10}"#
            ),
        ] as [(String, String, String?)])
    func operationsDoWhatTheStandardSays(document: String, patch: String, result: String?) throws {
        let document = try Self.parse(document)
        let outcome = Result { try JSONPatch(json: patch.utf8).apply(to: document) }
        if let result {
            #expect(try outcome.get() == Self.parse(result))
            #expect(String(decoding: try outcome.get().encoded(), as: UTF8.self) == result)
            let again = try JSONPatch(JSONPatch(json: patch.utf8).json)
            #expect(try again == JSONPatch(json: patch.utf8))
        } else {
            #expect(throws: JSONPatch.Failure.self) { try outcome.get() }
        }
    }

    @Test(arguments: [
        ("{}", #"{"a":{"b":[1,2]}}"#), (#"{"a":1,"b":{"c":[1,{"d":2}]}}"#, #"{"b":{"c":[1,{"d":3}]},"e/f":"~"}"#),
        ("[1,2]", "[1]"), ("1", #"{"a":1}"#), (#"{"a":null}"#, "{}"), (#"{"a":1}"#, #"{"a":1}"#),
    ])
    func aDifferenceLeadsFromOneToTheOther(old: String, new: String) throws {
        let (old, new) = (try Self.parse(old), try Self.parse(new))
        let patch = JSONPatch.difference(from: old, to: new)
        #expect(try patch.apply(to: old) == new)
        #expect(patch.operations.isEmpty == (old == new))
    }

    @Test func aBodyThatIsNotJSONTakesOnlyAWholeNewOne() throws {
        let whole = try JSONPatch(
            json: #"[{"op":"replace","path":"","value":{"a":1}},{"op":"add","path":"/b","value":2}]"#.utf8)
        #expect(try whole.apply(toBody: [0xFF]) == Array(#"{"a":1,"b":2}"#.utf8))
        let part = try JSONPatch(json: #"[{"op":"add","path":"/b","value":2}]"#.utf8)
        #expect(throws: JSONPatch.Failure.self) { try part.apply(toBody: [0xFF]) }
    }
}

@Suite struct PersonalDataTests {
    @Test func everythingThatMaySayWhoSomebodyIsIsHidden() throws {
        let body = """
            {"event":"invitee.created","payload":{"name":"Marcus Bell","email":"m@example.com","status":"active",
            "text_reminder_number":"+1 614 555 0142","cancel_url":"https://calendly.com/cancellations/2f8d",
            "uri":"https://api.calendly.com/scheduled_events/x/invitees/y","no_show":null,"rescheduled":false,
            "questions_and_answers":[{"question":"Project Address","answer":"1184 Orchard Hill Rd","position":0}],
            "tracking":{"utm_source":"Marcus"},"phone":6145550142,"created_at":"2027-03-09T15:04:05.131977Z",
            "new_field_of_the_vendor":"Bell"},"job":"job_01KZJ9ZQ8T4X5N7B2C3D6E8F9G","number":"J-2027-00042",
            "answers":{"project_type":"Driveway","state":"Ohio"},"status":"Dana Whitfield","kind":"resi-dential"}
            """
        let masked = PersonalData.masked(try JSONPatchTests.parse(body))
        let text = String(decoding: masked.encoded(), as: UTF8.self)
        for secret in [
            "Marcus", "Bell", "m@example", "614", "2f8d", "Orchard", "Driveway", "Ohio", "Whitfield",
        ] {
            #expect(!text.contains(secret), "\(secret)")
        }
        for plain in [
            "invitee.created", "\"active\"", "Project Address", "2027-03-09T15:04:05", "job_01KZ", "J-2027-00042",
            "api.calendly.com/scheduled_events/x/invitees/y", "\"position\":0", "\"rescheduled\":false", "resi-dential",
        ] {
            #expect(text.contains(plain), "\(plain)")
        }
    }

    @Test func aPatchHidesWhatTheBodyWouldHide() throws {
        let patch = try JSONPatch(
            json:
                #"[{"op":"replace","path":"/customer/email","value":"m@example.com"},{"op":"add","path":"/state","value":"booked"},{"op":"remove","path":"/x"}]"#
                .utf8)
        let text = String(decoding: patch.masked.encoded(), as: UTF8.self)
        #expect(!text.contains("m@example") && text.contains("/customer/email") && text.contains("booked"))
    }
}
