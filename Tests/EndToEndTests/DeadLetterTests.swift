import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import Sandbox
import TestSupport
import Testing
import Transport

/// What operators do with dead letters, with the built program and the log-ins that they have.
@Suite(.serialized, .timeLimit(.minutes(10))) struct DeadLetterTests {
    /// The parts of the commands' JSON that this needs.
    struct Letter: Decodable {
        let id: String
        let status: String
        let fingerprint: String?
        let originalExchange: String?
    }

    struct List: Decodable { let letters: [Letter] }
    struct Group: Decodable {
        let fingerprint: String
        let unresolved: Int
    }
    struct Detail: Decodable {
        struct Verdict: Decodable { let verdict: String }
        let verdict: Verdict
    }

    @Test func lettersAreLookedAtMendedGivenUpAndKept() async throws {
        try await Installation.with { neff in
            try await neff.start("ingress", "ingress")
            try await neff.start("journal", "worker", "dead-letters")
            let bookings = Bookings(neff, count: 3)
            try await bookings.send(concurrency: 1)
            try await Self.bury("sync", neff)
            #expect(try await neff.eventually { try await Self.list(neff).count == 3 })

            let groups = try await Self.json([Group].self, neff, "dead-letters", "groups", "--json")
            #expect(groups.map(\.unresolved) == [3])
            let alike = try await Self.json(
                List.self, neff, "dead-letters", "list", "--json", "--fingerprint", groups[0].fingerprint, "--text",
                "no crew", "--json-path", "$.payload", "--newer-than", "1h", "--death-reason", "rejected")
            #expect(alike.letters.count == 3)
            let (code, _, errors) = try await neff.execute(["dead-letters", "list", "--json-path", "$.."])
            #expect(code == 64 && errors.contains("--json-path"))
            let id = try #require(alike.letters.first?.id)

            try await verdicts(on: id, neff)
            try await edits(of: id, neff)
            try await discards(of: id, neff)
            try await api(id, neff)
            let isAnnounced = try await neff.eventually {
                let (code, output, _) = try await neff.execute(["alerts"])
                return code == 1 && output.contains("new_fingerprint") && output.contains("no crew for row <n>")
            }
            #expect(isAnnounced)
            try await files(neff)
            #expect(try await neff.run("operator-log", "verify").isEmpty == false)
        }
    }

    /// What killed workers is tried only if that is asked for; what a server wrote does not steer the terminal.
    @Test func whatMayKillIsNotTriedUnasked() async throws {
        try await Installation.with { neff in
            try await neff.start("ingress", "ingress")
            try await neff.start("journal", "worker", "dead-letters")
            try await Bookings(neff, count: 1).send(concurrency: 1)
            try await Self.bury("sync", neff, reason: "poison", detail: "\u{1B}[2Jgone")
            #expect(try await neff.eventually { try await Self.list(neff).count == 1 })
            let id = try #require(try await Self.list(neff).first?.id)
            let verdicts = try await Self.withRehearsalLogIn(neff) { settings in
                [
                    try await Self.verdict(on: id, neff: neff, settings: settings),
                    try await Self.verdict(on: id, "--run-suspects", neff: neff, settings: settings),
                ]
            }
            #expect(verdicts == ["unknown", "would_succeed"])
            for arguments in [["show", id, "--no-rehearsal"], ["list"], ["groups"]] {
                let (code, output, errors) = try await neff.execute(["dead-letters"] + arguments)
                #expect(code == 0 && !output.contains("\u{1B}"), "\(output)\(errors)")
                if arguments[0] == "show" { #expect(output.contains(#"\u{1B}[2Jgone"#), "\(output)") }
            }
        }
    }

    /// The handler is tried with the rights of the workers only, and leaves nothing behind.
    private func verdicts(on id: String, _ neff: Installation) async throws {
        let masked = try await neff.run("dead-letters", "show", id)
        #expect(masked.contains("unknown: this database user lacks the rights"))
        #expect(masked.contains(PersonalData.mark) && !masked.contains("@\(neff.mailDomain)"))
        #expect(
            try await neff.run("dead-letters", "show", id, "--reveal", "--as", "ann").contains("@\(neff.mailDomain)"))
        let verdicts = try await Self.withRehearsalLogIn(neff) { settings in
            var verdicts: [String] = []
            for _ in 0..<2 { verdicts.append(try await Self.verdict(on: id, neff: neff, settings: settings)) }
            return verdicts
        }
        #expect(verdicts == ["would_succeed", "would_succeed"])
        #expect(try await Self.count("consultations", neff) == 0)
        #expect(try await Self.count("inbox", neff) == 0)
    }

    /// An edit is beside the original, and can be taken away.
    private func edits(of id: String, _ neff: Installation) async throws {
        func stored() async throws -> (body: [UInt8], patch: String?) {
            let rows = try await neff.pool.query("select body, patch::text as patch from dead_letters where id = \(id)")
            return (try rows[0].decode("body"), try rows[0].decode("patch", as: String?.self))
        }
        let original = try await stored()
        try await neff.run(
            "dead-letters", "edit", id, "--set", "payload.email=dana@\(neff.mailDomain)", "--reason", "typo", "--as",
            "ann")
        let edited = try await stored()
        #expect(edited.body == original.body && edited.patch?.contains("dana@") == true && original.patch == nil)
        try await neff.run("dead-letters", "edit", id, "--undo", "--as", "ann")
        #expect(try await stored() == original)

        // The editor is a command with options, and gets a file that is its owner's alone.
        let editor = FileManager.default.temporaryDirectory.appending(path: "neff-editor-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: editor) }
        try Data(
            """
            #!/bin/sh
            [ "$(stat -c %a "$2")" = 600 ] || exit 9
            case $1 in
            address) sed -i 's/"[^"]*@\(neff.mailDomain)"/"erin@\(neff.mailDomain)"/' "$2" ;;
            nothing) ;;
            spoil) echo '{' >"$2" ;;
            *) exit 3 ;;
            esac
            """.utf8
        ).write(to: editor)
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: editor.path)
        func edit(_ option: String) async throws -> (code: Int32, output: String, errors: String) {
            try await neff.execute(
                ["dead-letters", "edit", id, "--as", "ann"],
                settings: ["VISUAL": nil, "EDITOR": "\(editor.path) \(option)"])
        }
        for (option, code, text) in [
            ("nothing", 0, "unchanged"), ("spoil", 65, "not JSON"), ("fail", 1, "ended with 3"),
        ] {
            let outcome = try await edit(option)
            #expect(outcome.code == Int32(code), "\(option): \(outcome.errors)")
            #expect((outcome.output + outcome.errors).contains(text), "\(option): \(outcome.output)\(outcome.errors)")
            #expect(try await stored() == original, "\(option)")
        }
        #expect(try await edit("address").code == 0)
        let mended = try await stored()
        #expect(mended.body == original.body && mended.patch?.contains("erin@\(neff.mailDomain)") == true)
        try await neff.run("dead-letters", "edit", id, "--undo", "--as", "ann")
        #expect(try await stored() == original)
        let without = try await neff.execute(
            ["dead-letters", "edit", id, "--as", "ann"], settings: ["VISUAL": nil, "EDITOR": nil])
        #expect(without.code == 64 && without.errors.contains("EDITOR"))
    }

    private func discards(of id: String, _ neff: Installation) async throws {
        #expect(try await neff.execute(["dead-letters", "discard", id]).code == 64, "a reason must be given")
        try await neff.run("dead-letters", "discard", id, "--reason", "a test", "--as", "ann")
        #expect(try await Self.list(neff).count == 2)
        #expect(try await neff.execute(["dead-letters", "discard", id, "--reason", "again"]).code == 1)
        try await neff.run("dead-letters", "restore", id, "--as", "bob")
        #expect(try await Self.list(neff).count == 3)
        let log = try await neff.pool.query("select actor, act from operator_log where subject = \(id) order by id").map
        {
            "\(try $0.decode("actor", as: String.self)) \(try $0.decode("act", as: String.self))"
        }
        #expect(
            log == [
                "ann dead_letter.reveal", "ann dead_letter.edit", "ann dead_letter.undo_edit",
                "ann dead_letter.edit", "ann dead_letter.undo_edit", "ann dead_letter.discard",
                "bob dead_letter.restore",
            ])
    }

    /// The same over the API, with the rights of the ingress.
    private func api(_ id: String, _ neff: Installation) async throws {
        let key = try await neff.run("keys", "create", "--name", "night shift", "--role", "ops", "--days", "1")
            .trimmingCharacters(in: .whitespacesAndNewlines)
        func send(_ method: String, _ path: String, _ body: String = "") async throws -> HTTPResponse {
            try await neff.http.send(
                HTTPRequest(
                    method: method, url: neff.ingress + "/v1/dead-letters" + path,
                    headers: ["Authorization": "Bearer \(key)", "Content-Type": "application/json"],
                    body: Array(body.utf8), timeout: .seconds(20)))
        }
        for path in ["", "/groups", "/\(id)"] {
            let response = try await send("GET", path)
            let text = String(decoding: response.body, as: UTF8.self)
            #expect(response.status == 200 && !text.contains("@\(neff.mailDomain)"), "\(path): \(text)")
        }
        let patch = #"{"patch":[{"op":"add","path":"/note","value":"x"}],"reason":"try"}"#
        #expect(try await send("POST", "/\(id)/edit", patch).status == 200)
        #expect(try await send("POST", "/\(id)/edit", #"{"patch":null}"#).status == 200)
        #expect(try await send("POST", "/\(id)/discard", #"{"reason":"r"}"#).status == 200)
        #expect(try await send("POST", "/\(id)/restore").status == 200)
        let acts: Int = try await neff.pool.query(
            "select count(*) as count from operator_log where actor = 'key:night shift'")[0]["count"]
        #expect(acts == 4)
    }

    /// Export and import lose nothing, and what is drained while PostgreSQL is away gets into the journal.
    private func files(_ neff: Installation) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "neff-letters-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func rows() async throws -> [String] {
            try await neff.pool.query("select d::text as row from dead_letters d order by id").map {
                try $0.decode("row")
            }
        }
        let exported = folder.appending(path: "letters.jsonl").path
        try await neff.run("dead-letters", "export", "--output", exported)
        let before = try await rows()
        #expect(
            try await neff.execute(["dead-letters", "export", "--output", exported]).code != 0, "it is there already")
        #expect(try await neff.run("dead-letters", "import", exported).contains("0 of 3"))
        // As if they had never been here.
        _ = try await neff.pool.query("update dead_letters set status = 'discarded', resolved_at = now()")
        try await neff.run("dead-letters", "list", "--all")
        #expect(try await neff.run("dead-letters", "purge", "--older-than", "1d", "--dry-run").contains("0 letters"))
        _ = try await neff.pool.query("update dead_letters set resolved_at = now() - interval '2 days'")
        #expect(try await neff.run("dead-letters", "purge", "--older-than", "1d").contains("purged 3"))
        #expect(try await neff.run("dead-letters", "import", exported).contains("3 of 3"))
        #expect(try await rows() == before)

        await neff.kill("journal")
        try await Bookings(neff, count: 2).send(concurrency: 1)
        try await Self.bury("sync", neff, as: "another-")
        let drained = folder.appending(path: "drained.jsonl").path
        let drain = ["dead-letters", "drain", "--direct", "--output", drained]
        #expect(try await neff.execute(drain).code == 1, "the journal can be written")
        neff.databaseProxy.accepts = false
        let (code, output, errors) = try await neff.execute(drain)
        neff.databaseProxy.accepts = true
        #expect(code == 0 && output.contains("2 letters are in"), "\(output) \(errors)")
        let isEmpty = try await neff.eventually {
            try await BrokerManagement.fromEnvironment().queue("sync.dead", virtualHost: neff.virtualHost).messages == 0
        }
        #expect(isEmpty)
        #expect(try await neff.run("dead-letters", "import", drained).contains("2 of 2"))
        #expect(try await Self.list(neff).count == 5)
    }

    // MARK: Tools

    /// Gives the settings with which an operator has the rights of the workers.
    private static func withRehearsalLogIn<Result>(
        _ neff: Installation, _ body: ([String: String?]) async throws -> Result
    ) async throws -> Result {
        let logIn = "neff_test_\(String(UInt64.random(in: 0 ... .max), radix: 36))_rehearsal"
        _ = try await neff.pool.query(
            """
            create role \(identifier: logIn) login password 'rehearsal' in role neff_sync, neff_scheduling,
                neff_notification
            """)
        let outcome: Swift.Result<Result, any Error>
        do {
            var address = try #require(URLComponents(string: try BrokerManagement.environment("DATABASE_URL")))
            (address.user, address.password) = (logIn, "rehearsal")
            address.path = "/" + (neff.pool.configuration.database ?? "")
            outcome = .success(try await body(["NEFF_REHEARSAL_DATABASE_URL": address.string]))
        } catch {
            outcome = .failure(error)
        }
        _ = try await neff.pool.query("drop role \(identifier: logIn)")
        return try outcome.get()
    }

    private static func verdict(
        on id: String, _ options: String..., neff: Installation, settings: [String: String?]
    ) async throws -> String {
        let arguments = ["dead-letters", "show", id, "--json"] + options
        let (code, output, errors) = try await neff.execute(arguments, settings: settings)
        guard code == 0 else { throw ProcessFailure(arguments: arguments, code: code, output: errors) }
        return try WireJSON.decode(Detail.self, from: output.utf8).verdict.verdict
    }

    private static func json<Value: Decodable>(
        _ type: Value.Type, _ neff: Installation, _ arguments: String...
    ) async throws -> Value {
        let (code, output, errors) = try await neff.execute(arguments)
        guard code == 0 else { throw ProcessFailure(arguments: arguments, code: code, output: errors) }
        return try WireJSON.decode(type, from: output.utf8)
    }

    private static func list(_ neff: Installation) async throws -> [Letter] {
        try await json(List.self, neff, "dead-letters", "list", "--json").letters
    }

    private static func count(_ table: String, _ neff: Installation) async throws -> Int {
        try await neff.pool.query("select count(*) as count from \(identifier: table)")[0]["count"]
    }

    /// Moves what waits in a work queue to the dead-letter exchange, as a worker that gives it up does.
    ///
    /// - Parameters:
    ///   - prefix: makes other messages of them.
    ///   - detail: the error; nil takes one that differs from letter to letter.
    private static func bury(
        _ queue: String, _ neff: Installation, as prefix: String = "", reason: String = "rejected",
        detail: String? = nil
    ) async throws {
        var configuration = try AMQPConfiguration(
            url: BrokerManagement.environment("AMQP_URL"), connectionName: "undertaker")
        configuration.virtualHost = neff.virtualHost
        let connection = try await Connection.open(configuration, logger: .silent)
        while let delivery = try await connection.get(queue) {
            var properties = delivery.properties.republishable
            properties.messageID = properties.messageID.map { prefix + $0 }
            properties.headers[HeaderName.deathReason] = .string(reason)
            properties.headers[HeaderName.deathCode] = "fault"
            properties.headers[HeaderName.deathDetail] = .string(
                detail ?? "no crew for row \(delivery.deliveryTag)")
            properties.headers[HeaderName.deathHandler] = .string("sync/\(queue)")
            properties.headers[HeaderName.deathBuild] = "0.0.9"
            try await connection.publish(
                Publication(exchange: "dead", routingKey: queue, properties: properties, body: delivery.body))
            try await connection.acknowledge(delivery)
        }
        await connection.close()
    }
}
