import ArgumentParser
import Domain
import Foundation
import Messaging
import Persistence

extension DeadLettersCommand {
    struct Edit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Mend the body of a letter. The original stays; the change is a patch beside it.",
            discussion: """
                Without --set, --unset or --undo the body opens in $VISUAL or $EDITOR, personal data included. Places are \
                JSON pointers, such as /customer/email, or names with dots, such as customer.email.
                """)

        @Argument(help: "The letter's id.") var id: String
        @Option(help: "A place and its new value, as PLACE=VALUE; what is not JSON is taken as text.") var set:
            [String] = []
        @Option(help: "A place to take out.") var unset: [String] = []
        @Flag(help: "Take all changes back.") var undo = false
        @Option(help: "Why; kept with the patch.") var reason: String?
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if undo, !(set.isEmpty && unset.isEmpty) {
                throw ValidationError("--undo takes back everything; it goes with neither --set nor --unset")
            }
        }

        func run() async throws {
            let id = try DeadLetterIdentifier.read(id)
            let letter = try await Database.with("dead-letters") { pool in
                guard let letter = try await DeadLetters.find(id, on: pool) else {
                    throw Failure(.data, "There is no dead letter \(id).")
                }
                guard letter.status == .dead else { throw Self.notDead(id, letter.status) }
                return letter
            }
            // The editor may be open for long; no connection waits for it.
            var patch = undo ? nil : try patch(for: letter)
            if patch?.operations.isEmpty == true { patch = nil }
            guard patch != letter.patch else {
                print(json ? "{\"changed\":false}" : "unchanged \(id)")
                return
            }
            let result = try await Database.with("dead-letters") { [patch] pool in
                try await DeadLetters.edit(
                    id, patch: patch, replacing: letter.patch, reason: reason, by: who.actor, on: pool)
            }
            switch result {
            case .edited(let letter):
                if json { return try Output.json(LetterView(letter)) }
                print(patch == nil ? "restored the original of \(id)" : "edited \(id)")
                for operation in letter.patch?.operations ?? [] { print("  \(operation.summary)") }
            case .missing: throw Failure(.data, "There is no dead letter \(id).")
            case .notDead(let status): throw Self.notDead(id, status)
            case .changedMeanwhile:
                throw Failure(
                    .findings, "Somebody else has edited \(id) meanwhile. Look at it again; nothing was changed.")
            }
        }

        private static func notDead(_ id: DeadLetterID, _ status: DeadLetter.Status) -> Failure {
            Failure(.findings, "\(id) is \(status.rawValue); only dead letters can be edited.")
        }

        /// From the original to what the operator wants.
        private func patch(for letter: DeadLetter) throws -> JSONPatch {
            let current = try? JSONParser.parse(letter.effectiveBody())
            let wanted: Messaging.JSONValue
            if set.isEmpty, unset.isEmpty {
                wanted = try TextEditor.edit(current?.pretty() ?? String(decoding: letter.body, as: UTF8.self))
            } else {
                guard let current else {
                    throw Failure(.data, "The body of \(letter.id) is not JSON; edit it as a whole, in an editor.")
                }
                wanted = try changed(current)
            }
            guard let original = try? JSONParser.parse(letter.body) else {
                return JSONPatch([.replace(JSONPointer(), wanted)])
            }
            return JSONPatch.difference(from: original, to: wanted)
        }

        private func changed(_ document: Messaging.JSONValue) throws -> Messaging.JSONValue {
            var document = document
            do {
                for assignment in set {
                    let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    guard parts.count == 2 else { throw Failure(.usage, "--set takes PLACE=VALUE") }
                    let place = try Self.place(String(parts[0]))
                    let value = (try? JSONParser.parse(Array(parts[1].utf8))) ?? .string(String(parts[1]))
                    let isThere = document.value(at: place) != nil
                    document = try JSONPatch([isThere ? .replace(place, value) : .add(place, value)]).apply(
                        to: document)
                }
                for text in unset { document = try JSONPatch([.remove(Self.place(text))]).apply(to: document) }
            } catch let failure as JSONPatch.Failure {
                throw Failure(.data, "The body cannot be changed so: \(failure).")
            }
            return document
        }

        private static func place(_ text: String) throws -> JSONPointer {
            if !text.hasPrefix("/") { return JSONPointer(tokens: text.split(separator: ".").map(String.init)) }
            guard let pointer = JSONPointer(text) else { throw Failure(.usage, "\(text) is not a JSON pointer") }
            return pointer
        }
    }
}

/// The operator's editor.
private enum TextEditor {
    /// Has a text edited and reads it back as JSON. The file is readable by its owner only, and gone afterwards.
    static func edit(_ text: String) throws -> Messaging.JSONValue {
        let environment = ProcessInfo.processInfo.environment
        guard let editor = environment["VISUAL"] ?? environment["EDITOR"] else {
            throw Failure(.usage, "Neither VISUAL nor EDITOR is set; set one, or use --set PLACE=VALUE.")
        }
        let folder = FileManager.default.temporaryDirectory.appending(path: "neff-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "letter.json")
        guard
            FileManager.default.createFile(
                atPath: file.path, contents: Data((text + "\n").utf8), attributes: [.posixPermissions: 0o600])
        else { throw Failure(.software, "\(file.path) cannot be written") }
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        // The editor may be a command with options; the path is its last word.
        process.arguments = ["-c", "exec \(editor) \"$1\"", "sh", file.path]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(.findings, "The editor ended with \(process.terminationStatus); nothing was changed.")
        }
        do {
            return try JSONParser.parse(Array(try Data(contentsOf: file)))
        } catch let failure as JSONParser.Failure {
            throw Failure(
                .data, "What was saved is not JSON: \(failure.reason), at byte \(failure.offset). Nothing was changed.")
        }
    }
}
