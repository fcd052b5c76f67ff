import CLinux
import Foundation
import Metrics
import Synchronization
import Transport

/// One process's record, in a file, of how far each mail has come at the two instants that cannot be undone.
///
/// The database learns of a sent mail only with the commit that follows. A process that is killed in between leaves this
/// file, and the next one on the same host reads it. A line is one `write(2)`, which survives the death of the process (not
/// of the machine: then the policy for ambiguous mail decides).
///
/// | Line | Meaning |
/// |---|---|
/// | `H id` | the final dot is about to go out |
/// | `A id reply` | the server accepted |
/// | `F id` | the database has the outcome; a later attempt begins untouched |
///
/// The process holds a lock on its file for as long as it lives, so that others can tell the living from the dead.
package final class SendJournal: SMTPCheckpoint {
    /// How far a mail has come.
    package enum Progress: Hashable, Sendable {
        /// Not complete at the server, which must not deliver it then (RFC 5321 section 4.1.1.4).
        case untouched
        /// The final dot may have been sent and no answer was seen.
        case handedOver
        case accepted(reply: Int)
    }

    /// The journal of another process.
    package enum Other: Hashable, Sendable {
        /// Its process lives, or another process is reading it now.
        case inUse
        /// Its process is gone; these are its mails by Message-ID.
        case abandoned([String: Progress])
        /// No such file here: another host's, or a lost disk.
        case missing
    }

    private struct State {
        var entries: [String: Progress] = [:]
        var isBroken = false
    }

    /// The file is emptied once it is larger than this and nothing in it is open.
    static let maxBytes = 1 << 20
    private static let prefix = "sends-"
    /// Of a file that is not locked yet, so that nobody takes it for an abandoned one.
    private static let newPrefix = "new-"
    private static let suffix = ".journal"

    /// Names the holder of claims; also the file's name.
    package let holder: String
    private let folder: String
    private let descriptor: CInt
    private let state = Mutex(State())

    /// Starts the journal of this process.
    ///
    /// - Throws: if the folder cannot be made or written.
    package init(folder: String) throws(JournalError) {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw JournalError(path: folder, problem: "cannot be made")
        }
        self.folder = folder
        holder = Self.prefix + UUID().uuidString.lowercased()
        let path = "\(folder)/\(holder)\(Self.suffix)"
        let newPath = "\(folder)/\(Self.newPrefix)\(holder)\(Self.suffix)"
        descriptor = open(newPath, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw JournalError(path: folder, problem: "cannot be written") }
        // Locked first and named then: a process that starts at the same time removes what has the name and no lock.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            unlink(newPath)
            throw JournalError(path: folder, problem: "cannot be locked")
        }
        guard rename(newPath, path) == 0 else {
            unlink(newPath)
            throw JournalError(path: folder, problem: "cannot be written")
        }
    }

    deinit {
        close(descriptor)
    }

    /// Whether a line could not be written. Mail still goes out; what is cut off from now on counts as ambiguous.
    package var isBroken: Bool { state.withLock { $0.isBroken } }

    package func willHandOver(messageID: String) {
        note(messageID, .handedOver, "H \(messageID)\n")
    }

    package func didAccept(messageID: String, reply: Int) {
        note(messageID, .accepted(reply: reply), "A \(messageID) \(reply)\n")
    }

    /// What this process knows of a mail of its own.
    package func progress(of messageID: String) -> Progress {
        state.withLock { $0.entries[messageID] ?? .untouched }
    }

    /// Forgets a mail whose outcome the database has.
    package func forget(messageID: String) {
        state.withLock { state in
            guard state.entries.removeValue(forKey: messageID) != nil else { return }
            append("F \(messageID)\n", &state)
            // Under the lock, so that no line can come between the look and the cut.
            if state.entries.isEmpty, lseek(descriptor, 0, SEEK_END) > Self.maxBytes { ftruncate(descriptor, 0) }
        }
    }

    // MARK: Journals of others

    /// Reads the journal of another process.
    package func other(_ holder: String) -> Other {
        withLocked(holder) { _ in }
    }

    /// Reads the journal of another process, and calls `body` with its path if it is abandoned, while it is locked.
    private func withLocked(_ holder: String, _ body: (String) -> Void) -> Other {
        guard holder != self.holder, holder.hasPrefix(Self.prefix), !holder.contains("/") else { return .missing }
        let path = path(of: holder)
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return .missing }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return .inUse }
        guard let bytes = try? file.readToEnd() ?? Data(), let text = String(data: bytes, encoding: .utf8) else {
            return .missing
        }
        body(path)
        // The lock ends with the file.
        withExtendedLifetime(file) {}
        return .abandoned(Self.parse(text))
    }

    /// The journals in the folder whose processes are gone, by holder.
    package func abandoned() -> [String: [String: Progress]] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        var journals: [String: [String: Progress]] = [:]
        for file in files where file.hasPrefix(Self.prefix) && file.hasSuffix(Self.suffix) {
            let holder = String(file.dropLast(Self.suffix.count))
            if case .abandoned(let entries) = other(holder) { journals[holder] = entries }
        }
        return journals
    }

    /// Removes the journal of a process that is gone and of whose mails nothing is open any more.
    package func remove(_ holder: String) {
        _ = withLocked(holder) { unlink($0) }
    }

    static func parse(_ text: String) -> [String: Progress] {
        var entries: [String: Progress] = [:]
        // A line without its end was cut off with the process and says nothing.
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let words = line.split(separator: " ").map(String.init)
            switch (words.first, words.count) {
            case ("H", 2): entries[words[1]] = .handedOver
            case ("A", 3): entries[words[1]] = .accepted(reply: Int(words[2]) ?? 250)
            case ("F", 2): entries[words[1]] = nil
            default: continue
            }
        }
        return entries
    }

    // MARK: Writing

    private func path(of holder: String) -> String { "\(folder)/\(holder)\(Self.suffix)" }

    private func note(_ messageID: String, _ progress: Progress, _ line: String) {
        state.withLock { state in
            state.entries[messageID] = progress
            append(line, &state)
        }
    }

    private func append(_ line: String, _ state: inout State) {
        guard !state.isBroken else { return }
        let bytes = Array(line.utf8)
        if bytes.withUnsafeBytes({ write(descriptor, $0.baseAddress, $0.count) }) == bytes.count { return }
        // After a failed write (a full disk) the file would call a sent mail untouched. Without the file, others go by the
        // claim's age and treat the mail as ambiguous, which is true.
        state.isBroken = true
        unlink(path(of: holder))
        Counter(label: "notifications.journal_failures").increment()
    }
}

/// The folder for send journals cannot be used.
package struct JournalError: Error, CustomStringConvertible {
    package let path: String
    package let problem: String

    package var description: String {
        "NEFF_STATE_DIR: the folder \(path) \(problem). Make it, and give it to the user that runs the notification worker."
    }
}
