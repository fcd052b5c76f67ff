import Foundation
import NotificationWorker
import Synchronization
import Testing

/// A folder of its own for one test.
nonisolated(nonsending) func withFolder<Result>(
    _ body: nonisolated(nonsending) (String) async throws -> Result
) async throws -> Result {
    let path = NSTemporaryDirectory() + "neff-journal-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

@Suite(.timeLimit(.minutes(1))) struct SendJournalTests {
    private func file(_ folder: String, _ holder: String) -> String { "\(folder)/\(holder).journal" }

    /// Leaves a journal behind, as a killed process does.
    private func abandon(_ folder: String, _ write: (SendJournal) -> Void = { _ in }) throws -> String {
        let journal = try SendJournal(folder: folder)
        write(journal)
        return journal.holder
    }

    @Test func aJournalIsReadByTheNextProcess() async throws {
        try await withFolder { folder in
            let dead = try abandon(folder) { journal in
                journal.willHandOver(messageID: "handed@x")
                journal.willHandOver(messageID: "accepted@x")
                journal.didAccept(messageID: "accepted@x", reply: 250)
                journal.willHandOver(messageID: "forgotten@x")
                journal.forget(messageID: "forgotten@x")
            }
            let other = try SendJournal(folder: folder).other(dead)
            #expect(other == .abandoned(["handed@x": .handedOver, "accepted@x": .accepted(reply: 250)]))
        }
    }

    @Test func oneProcessKnowsItsOwnMail() async throws {
        try await withFolder { folder in
            let journal = try SendJournal(folder: folder)
            #expect(journal.progress(of: "a@x") == .untouched)
            journal.willHandOver(messageID: "a@x")
            #expect(journal.progress(of: "a@x") == .handedOver)
            journal.didAccept(messageID: "a@x", reply: 251)
            #expect(journal.progress(of: "a@x") == .accepted(reply: 251))
            journal.forget(messageID: "a@x")
            #expect(journal.progress(of: "a@x") == .untouched)
        }
    }

    /// A refusal after the dot leaves `H`; the next attempt, if killed before its own dot, is not ambiguous.
    @Test func whatIsForgottenIsUntouchedAgain() async throws {
        try await withFolder { folder in
            let dead = try abandon(folder) { journal in
                journal.willHandOver(messageID: "a@x")
                journal.forget(messageID: "a@x")
            }
            #expect(try SendJournal(folder: folder).other(dead) == .abandoned([:]))
        }
    }

    @Test func aLivingJournalIsInUse() async throws {
        try await withFolder { folder in
            let (one, two) = (try SendJournal(folder: folder), try SendJournal(folder: folder))
            one.willHandOver(messageID: "a@x")
            #expect(two.other(one.holder) == .inUse)
            #expect(two.abandoned().isEmpty)
            two.remove(one.holder)
            #expect(FileManager.default.fileExists(atPath: file(folder, one.holder)))
            withExtendedLifetime(one) {}
        }
    }

    /// Each start removes what dead processes left; a journal that is being made must not look like that.
    @Test func aStartNeverRemovesTheJournalOfAnother() async throws {
        try await withFolder { folder in
            let cleaner = try SendJournal(folder: folder)
            let isDone = Atomic(false)
            let cleaning = Task.detached {
                while !isDone.load(ordering: .relaxed) {
                    for holder in cleaner.abandoned().keys { cleaner.remove(holder) }
                }
            }
            let journals = try await withThrowingTaskGroup(of: [SendJournal].self) { group in
                for _ in 0..<2 {
                    group.addTask { try (0..<1_000).map { _ in try SendJournal(folder: folder) } }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            isDone.store(true, ordering: .relaxed)
            await cleaning.value
            #expect(journals.count == 2_000)
            #expect(journals.count { cleaner.other($0.holder) != .inUse } == 0)
            withExtendedLifetime(journals) {}
        }
    }

    @Test func theLockDiesWithItsProcess() async throws {
        try await withFolder { folder in
            let dead = try abandon(folder) { $0.willHandOver(messageID: "a@x") }
            let journal = try SendJournal(folder: folder)
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
            process.arguments = [file(folder, dead), "--command", "echo locked; exec cat"]
            let (input, output) = (Pipe(), Pipe())
            process.standardInput = input
            process.standardOutput = output
            try process.run()
            let first = try #require(output.fileHandleForReading.availableData.isEmpty ? nil : journal.other(dead))
            #expect(first == .inUse)
            #expect(journal.abandoned().isEmpty)
            // The end of its input ends it, and the lock with it.
            try input.fileHandleForWriting.close()
            process.waitUntilExit()
            #expect(journal.other(dead) == .abandoned(["a@x": .handedOver]))
        }
    }

    @Test(
        arguments: [
            ("H a@x", [:]), ("H a@x\nA a@x 250", ["a@x": .handedOver]), ("H a@x\nA a@x 25", ["a@x": .handedOver]),
            ("H a@x\nA a@x 250\n", ["a@x": .accepted(reply: 250)]), ("", [:]), ("\n\nrubbish\nH\nA a@x\nX a@x\n", [:]),
            ("H a@x\nF a@x", ["a@x": .handedOver]),
        ] as [(String, [String: SendJournal.Progress])])
    func aLineThatWasCutOffSaysNothing(_ text: String, _ expected: [String: SendJournal.Progress]) async throws {
        try await withFolder { folder in
            let dead = try abandon(folder)
            try Data(text.utf8).write(to: URL(fileURLWithPath: file(folder, dead)))
            #expect(try SendJournal(folder: folder).other(dead) == .abandoned(expected))
        }
    }

    @Test func bytesThatAreNoTextAreNoJournal() async throws {
        try await withFolder { folder in
            let dead = try abandon(folder)
            try Data([0x48, 0x20, 0xff, 0x0a]).write(to: URL(fileURLWithPath: file(folder, dead)))
            #expect(try SendJournal(folder: folder).other(dead) == .missing)
        }
    }

    @Test(arguments: ["sends-none", "../sends-x", "worker-1", ""])
    func whatIsNoJournalIsMissing(_ holder: String) async throws {
        try await withFolder { folder in
            let journal = try SendJournal(folder: folder)
            #expect(journal.other(holder) == .missing)
        }
    }

    @Test func aRemovedJournalIsGone() async throws {
        try await withFolder { folder in
            let dead = try abandon(folder) { $0.willHandOver(messageID: "a@x") }
            let journal = try SendJournal(folder: folder)
            #expect(journal.abandoned() == [dead: ["a@x": .handedOver]])
            journal.remove(dead)
            #expect(journal.other(dead) == .missing)
            journal.remove(journal.holder)
            #expect(FileManager.default.fileExists(atPath: file(folder, journal.holder)))
        }
    }

    @Test func aGrownFileIsEmptiedWhenNothingIsOpen() async throws {
        try await withFolder { folder in
            let journal = try SendJournal(folder: folder)
            let path = file(folder, journal.holder)
            func size() throws -> Int {
                try #require(FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
            }
            let long = String(repeating: "x", count: 1_000) + "@x"
            journal.willHandOver(messageID: "open@x")
            for _ in 0..<600 {
                journal.willHandOver(messageID: long)
                journal.forget(messageID: long)
            }
            #expect(try size() > 1 << 20)
            #expect(!journal.isBroken)
            journal.forget(messageID: "open@x")
            #expect(try size() == 0)
            journal.didAccept(messageID: "a@x", reply: 250)
            #expect(try size() > 0)
        }
    }

    /// Makes every write to an open file fail, as on a full disk.
    private func fillDisk(under path: String) throws {
        let full = open("/dev/full", O_WRONLY)
        defer { close(full) }
        var found = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
            guard target == path, let descriptor = CInt(name) else { continue }
            try #require(dup2(full, descriptor) == descriptor)
            found += 1
        }
        try #require(found == 1)
    }

    @Test func aJournalThatCannotBeWrittenGoesAway() async throws {
        try await withFolder { folder in
            let journal = try SendJournal(folder: folder)
            journal.willHandOver(messageID: "a@x")
            try fillDisk(under: file(folder, journal.holder))
            journal.didAccept(messageID: "a@x", reply: 250)
            #expect(journal.isBroken)
            #expect(journal.progress(of: "a@x") == .accepted(reply: 250))
            #expect(!FileManager.default.fileExists(atPath: file(folder, journal.holder)))
            #expect(try SendJournal(folder: folder).other(journal.holder) == .missing)
        }
    }

    @Test func aFolderThatCannotBeMadeIsNamed() throws {
        let error = #expect(throws: JournalError.self) { try SendJournal(folder: "/proc/neff") }
        #expect(error?.description.contains("/proc/neff") == true)
        #expect(error?.description.contains("NEFF_STATE_DIR") == true)
    }

    @Test func manyMailsAtOnceLeaveWholeLines() async throws {
        try await withFolder { folder in
            let journal = try SendJournal(folder: folder)
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        let id = "\(number)@x"
                        journal.willHandOver(messageID: id)
                        if number % 3 == 0 { journal.didAccept(messageID: id, reply: 250) }
                        if number % 3 == 1 { journal.forget(messageID: id) }
                    }
                }
            }
            var expected: [String: SendJournal.Progress] = [:]
            for number in 0..<200 where number % 3 != 1 {
                expected["\(number)@x"] = number % 3 == 0 ? .accepted(reply: 250) : .handedOver
            }
            let text = try String(contentsOfFile: file(folder, journal.holder), encoding: .utf8)
            let copy = try abandon(folder)
            try Data(text.utf8).write(to: URL(fileURLWithPath: file(folder, copy)))
            #expect(try SendJournal(folder: folder).other(copy) == .abandoned(expected))
        }
    }
}
