import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Synchronization
import TestSupport
import Testing
import Transport

@testable import Ingress

@Suite(.timeLimit(.minutes(2))) struct LettersTests {
    static let body = #"{"customer":{"email":"dana@example.com","name":"Dana"},"job":"job_01KZJ9ZQ8T4X5N7B2C3D6E8F9G"}"#

    static func letter(_ number: Int = 0, body: String = body) -> DeadLetter {
        var letter = DeadLetter(
            id: DeadLetterID.make(at: Date(timeIntervalSince1970: 1_800_000_000 + Double(number))),
            deathKey: "k\(number)", queue: "scheduling", messageID: "m\(number)", type: "job.create", exchange: "",
            routingKey: "scheduling", correlationID: nil, propertiesJSON: "{}", headersJSON: "{}",
            body: Array(body.utf8), reason: "rejected", errorCode: "fault", errorText: "row 7 is odd", attempts: [],
            attemptCount: 1, replayCount: 0, diedAt: Date(timeIntervalSince1970: 1_800_000_000))
        letter.takeFingerprint()
        return letter
    }

    private static func object(_ response: HTTPResponse) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any])
    }

    @Test func listsComeInPagesWithoutBodies() async throws {
        try await withIngress { ingress in
            for number in 0..<3 { ingress.letters.add(Self.letter(number)) }
            let first = try await ingress.send("GET", "/v1/dead-letters?limit=2&queue=scheduling&text=odd%20row")
            #expect(first.status == 200)
            let page = try Self.object(first)
            let items = try #require(page["items"] as? [[String: Any]])
            #expect(items.map { $0["message_id"] as? String } == ["m2", "m1"])
            #expect(!String(decoding: first.body, as: UTF8.self).contains("Dana"))
            let cursor = try #require(page["next_cursor"] as? String)
            let last = try Self.object(try await ingress.send("GET", "/v1/dead-letters?limit=2&cursor=\(cursor)"))
            #expect((last["items"] as? [Any])?.count == 1 && last["next_cursor"] is NSNull)
            let filter = try #require(ingress.letters.filters.withLock { $0.first })
            #expect(filter.queue == "scheduling" && filter.text == "odd row" && filter.status == .dead)
        }
    }

    /// The command line prints the same view.
    @Test func everyFieldOfALetterIsInTheContract() throws {
        var letter = Self.letter()
        letter.correlationID = "c"
        (letter.originalExchange, letter.originalRoutingKey) = ("commands", "job.create")
        (letter.handler, letter.build, letter.campaignID) = ("scheduling/scheduling", "1.0.0", "rpl_1")
        letter.patch = JSONPatch([])
        (letter.patchedAt, letter.patchedBy) = (letter.diedAt, "ann")
        (letter.resolvedAt, letter.resolvedBy, letter.resolutionReason) = (letter.diedAt, "bob", "a test")
        let shown = try #require(
            try JSONSerialization.jsonObject(with: Data(try WireJSON.encode(LetterView(letter)))) as? [String: Any])
        let document = try #require(
            try JSONSerialization.jsonObject(with: Data(OpenAPIDocument.bytes)) as? [String: Any])
        let schemas = (document["components"] as? [String: Any])?["schemas"] as? [String: [String: Any]]
        let documented = try #require(schemas?["DeadLetter"]?["properties"] as? [String: Any])
        #expect(Set(shown.keys) == Set(documented.keys))
    }

    @Test(arguments: [
        "limit=0", "cursor=x", "status=gone", "died_after=yesterday", "queue=", "unknown=1", "limit=1&limit=2",
        "text=%00", "text=%zz",
    ])
    func badQueriesAreRefusedByName(query: String) async throws {
        try await withIngress { ingress in
            let response = try await ingress.send("GET", "/v1/dead-letters?\(query)")
            #expect(response.status == 400 && response.problemType == "malformed-request")
        }
    }

    @Test func aLetterIsShownWithItsPersonalDataHidden() async throws {
        try await withIngress { ingress in
            let letter = Self.letter()
            ingress.letters.add(letter)
            let response = try await ingress.send("GET", "/v1/dead-letters/\(letter.id)")
            #expect(response.status == 200)
            let text = String(decoding: response.body, as: UTF8.self)
            #expect(!text.contains("Dana") && !text.contains("dana@example.com"))
            #expect(text.contains("job_01KZJ9ZQ8T4X5N7B2C3D6E8F9G") && text.contains(PersonalData.mark))
            let missing = try await ingress.send("GET", "/v1/dead-letters/\(DeadLetterID.make())")
            #expect(missing.status == 404)
        }
    }

    @Test func anEditIsCheckedAgainstTheOriginalAndKeepsIt() async throws {
        try await withIngress { ingress in
            let letter = Self.letter()
            ingress.letters.add(letter)
            let path = "/v1/dead-letters/\(letter.id)/edit"
            for (body, status) in [
                (#"{"patch":[{"op":"replace","path":"/nothing","value":1}]}"#, 422), (#"{"patch":[]}"#, 422),
                (#"{"patch":[{"op":"jump","path":""}]}"#, 422), (#"{"reason":"x"}"#, 422), (#"{"patch":"#, 400),
                (#"{"patch":null,"more":1}"#, 422), (#"[]"#, 422),
            ] {
                #expect(try await ingress.send("POST", path, body: body).status == status, "\(body)")
            }
            let edited = try await ingress.send(
                "POST", path, body: #"{"patch":[{"op":"replace","path":"/customer/name","value":"D"}],"reason":"r"}"#)
            #expect(edited.status == 200)
            #expect(try await ingress.letters.find(letter.id)?.body == letter.body)
            #expect(try await ingress.letters.find(letter.id)?.patch?.operations.count == 1)
            #expect(try await ingress.send("POST", path, body: #"{"patch":null}"#).status == 200)
            #expect(try await ingress.letters.find(letter.id)?.patch == nil)
            #expect(ingress.letters.log == ["key:Front office edit", "key:Front office edit"])
        }
    }

    @Test func discardAndRestoreSayWhenTheStateIsWrong() async throws {
        try await withIngress { ingress in
            let letter = Self.letter()
            ingress.letters.add(letter)
            let path = "/v1/dead-letters/\(letter.id)"
            #expect(try await ingress.send("POST", path + "/discard", body: "{}").status == 422)
            #expect(try await ingress.send("POST", path + "/restore").status == 409)
            #expect(try await ingress.send("POST", path + "/discard", body: #"{"reason":"test"}"#).status == 200)
            let again = try await ingress.send("POST", path + "/discard", body: #"{"reason":"test"}"#)
            #expect(again.status == 409 && again.problemType == "illegal-transition")
            #expect(try await ingress.send("POST", path + "/restore").status == 200)
            #expect(ingress.letters.log == ["key:Front office discard test", "key:Front office restore -"])
        }
    }

    @Test func theExamplesOfTheContractPassTheValidators() throws {
        let document = try #require(
            try JSONSerialization.jsonObject(with: Data(OpenAPIDocument.bytes)) as? [String: Any])
        let paths = try #require(document["paths"] as? [String: [String: Any]])
        let validators: [String: ([UInt8]) throws -> Void] = [
            "edit": { _ = try LetterInput.edit($0) }, "discard": { _ = try LetterInput.reason($0, isRequired: true) },
            "restore": { _ = try LetterInput.reason($0, isRequired: false) },
        ]
        for (act, validate) in validators {
            let operation = try #require(paths["/v1/dead-letters/{id}/\(act)"]?["post"] as? [String: Any])
            let content = try #require(
                (operation["requestBody"] as? [String: Any])?["content"] as? [String: [String: Any]])
            let examples = try #require(content["application/json"]?["examples"] as? [String: [String: Any]])
            for example in examples.values {
                let body = try JSONSerialization.data(withJSONObject: try #require(example["value"]))
                #expect(throws: Never.self, "\(act)") { try validate(Array(body)) }
            }
        }
    }

    /// As the ingress's own database user, with the rights that the migrations give.
    @Test func theIngressMayDoThisAndNoMore() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let letter = Self.letter()
            try await DeadLetters.insert([letter], on: pool)
            try await pool.withTransaction { transaction in
                _ = try await transaction.query("set local role neff_ingress")
                _ = try await transaction.query(
                    """
                    update dead_letters set status = 'discarded', resolved_at = now(), resolved_by = 'key:x',
                        resolution_reason = 'r' where id = \(letter.id.rawValue)
                    """)
                try await OperatorLog.append(
                    OperatorAct(actor: "key:x", kind: .discardLetter, subject: letter.id.rawValue), in: transaction)
            }
            for statement in [
                "update dead_letters set body = ''", "delete from dead_letters", "delete from operator_log",
                "insert into dead_letters (id) values ('x')", "update dead_letter_groups set letters = 0",
            ] {
                let error = await #expect(throws: PostgresError.self) {
                    try await pool.withTransaction { transaction in
                        _ = try await transaction.query("set local role neff_ingress")
                        _ = try await transaction.query(SQL(unescaped: statement))
                    }
                }
                #expect(error?.sqlState == .insufficientPrivilege, "\(statement)")
            }
        }
    }
}
