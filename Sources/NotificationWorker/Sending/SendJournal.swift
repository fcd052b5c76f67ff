import CLinux
import Foundation
import Synchronization
import Transport

/// One process's record, in a file, of how far each mail has come at the two instants that cannot be undone.
///
/// The database learns of a sent mail only with the commit that follows. A process that is killed in between leaves this
/// file, and the next one on the same host reads it: `A` for accepted, `H` for handed over without an answer, nothing for
/// a mail whose final dot was never sent. A line is one `write(2)`, which survives the death of the process (not of the
/// machine: then the policy for ambiguous mail decides).
///
/// The process holds a lock on its file for as long as it lives, so that others can tell the living from the dead.
package final class SendJournal: SMTPCheckpoint {
    /// What a journal knows of one mail.
    package enum Progress: Hashable, Sendable {
        case untouched
        /// The final dot may have been sent and no answer was seen.
        case handedOver
        case accepted(reply: Int)
    }

    /// The journal of another process.
    package enum Other: Sendable {
        /// Its process lives, or another process is reading it now.
        case inUse
        /// Its process is gone; these are its mails by Message-ID.
        case abandoned([String: Progress])
        /// No such file here: another host's, or a lost disk.
        case missing
    }

    /// Names the holder of claims; also the file's name.
    package let holder: String
    private let folder: URL
    private let descriptor: CInt
    private let entries = Mutex<[String: Progress]>([:])

    /// Starts the journal of this process.
    ///
    /// - Throws: if the folder cannot be made or written.
    package init(folder path: String) throws(JournalError) {
        folder = URL(fileURLWithPath: path, isDirectory: true)
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw JournalError(path: path, problem: "cannot be made")
        }
        holder = "sends-\(UUID().uuidString.lowercased())"
        let file = folder.appending(path: "\(holder).journal").path
        descriptor = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw JournalError(path: path, problem: "cannot be written") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw JournalError(path: path, problem: "cannot be locked")
        }
    }

    deinit {
        close(descriptor)
    }

    package func willHandOver(messageID: String) {
        entries.withLock { $0[messageID] = .handedOver }
        append("H \(messageID)\n")
    }

    package func didAccept(messageID: String, reply: Int) {
        entries.withLock { $0[messageID] = .accepted(reply: reply) }
        append("A \(messageID) \(reply)\n")
    }

    /// What this process knows of a mail of its own.
    package func progress(of messageID: String) -> Progress {
        entries.withLock { $0[messageID] ?? .untouched }
    }

    /// Forgets a mail whose outcome the database has. When none is left, the file is emptied once it has grown.
    package func forget(messageID: String) {
        let isEmpty = entries.withLock { entries in
            entries[messageID] = nil
            return entries.isEmpty
        }
        // A line written between the check and the truncation could be lost, so the lock spans both.
        guard isEmpty else { return }
        entries.withLock { entries in
            if entries.isEmpty, lseek(descriptor, 0, SEEK_END) > 1 << 20 { ftruncate(descriptor, 0) }
        }
    }

    /// Reads the journal of another process.
    package func other(_ holder: String) -> Other {
        guard holder != self.holder, holder.hasPrefix("sends-"), !holder.contains("/") else { return .missing }
        let path = folder.appending(path: "\(holder).journal").path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return .missing }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return .inUse }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return .missing }
        return .abandoned(Self.parse(text))
    }

    /// The holders of all journals in the folder whose processes are gone.
    package func abandonedHolders() -> [String] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasPrefix("sends-") && $0.hasSuffix(".journal") }
            .map { String($0.dropLast(".journal".count)) }
            .filter { if case .abandoned = other($0) { true } else { false } }
    }

    /// Removes the journal of a process that is gone and of whose mails nothing is open any more.
    package func remove(_ holder: String) {
        guard holder != self.holder, case .abandoned = other(holder) else { return }
        try? FileManager.default.removeItem(at: folder.appending(path: "\(holder).journal"))
    }

    static func parse(_ text: String) -> [String: Progress] {
        var progress: [String: Progress] = [:]
        // A line without its end was cut off with the process and says nothing.
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let words = line.split(separator: " ").map(String.init)
            switch (words.first, words.count) {
            case ("H", 2): progress[words[1]] = .handedOver
            case ("A", 3): progress[words[1]] = .accepted(reply: Int(words[2]) ?? 250)
            default: continue
            }
        }
        return progress
    }

    private func append(_ line: String) {
        let bytes = Array(line.utf8)
        let written = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
        // After a failed write (a full disk) the file would call a sent mail untouched. Without the file, others go by the
        // claim's age and treat the mail as ambiguous, which is true.
        if written != bytes.count { unlink(folder.appending(path: "\(holder).journal").path) }
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
