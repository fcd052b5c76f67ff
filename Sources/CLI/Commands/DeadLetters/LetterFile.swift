import Foundation
import Persistence

/// A file of letters, one JSON object on each line, readable by its owner only.
final class LetterFile {
    private let descriptor: Int32
    let path: String

    /// - Parameters:
    ///   - path: `-` is standard output.
    ///   - appends: whether lines are added to a file that is there; else it must not be there.
    init(path: String, appends: Bool) throws {
        self.path = path
        guard path != "-" else {
            descriptor = STDOUT_FILENO
            return
        }
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (appends ? O_APPEND : O_EXCL), 0o600)
        if descriptor < 0 {
            throw Failure(.data, "\(path) cannot be written: \(String(cString: strerror(errno))).")
        }
    }

    deinit {
        if descriptor != STDOUT_FILENO { close(descriptor) }
    }

    /// Writes whole lines; a line that is cut off by a full disk is an error, and nothing after it is written.
    func write(_ letters: [DeadLetter]) throws {
        var bytes: [UInt8] = []
        for letter in letters { bytes += try letter.jsonLine() + [UInt8(ascii: "\n")] }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw Failure(.software, "\(path) cannot be written: \(String(cString: strerror(errno))).")
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Returns once everything written is on disk.
    func synchronise() throws {
        guard descriptor != STDOUT_FILENO else { return }
        if fsync(descriptor) != 0 {
            throw Failure(.software, "\(path) cannot be made durable: \(String(cString: strerror(errno))).")
        }
    }

    /// The letters of a file with their line numbers; blank lines are passed over.
    ///
    /// - Parameter path: `-` is standard input.
    /// - Throws: `Failure` that names the first line that is no letter.
    static func read(_ path: String) throws -> [DeadLetter] {
        let data: Data
        do {
            data =
                try path == "-" ? FileHandle.standardInput.readToEnd() ?? Data() : Data(contentsOf: URL(filePath: path))
        } catch {
            throw Failure(.data, "\(path) cannot be read.")
        }
        var letters: [DeadLetter] = []
        for (index, line) in data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
        where !line.isEmpty {
            do {
                letters.append(try DeadLetter(jsonLine: line))
            } catch {
                throw Failure(.data, "Line \(index + 1) of \(path) is no letter: \(error). Nothing was imported.")
            }
        }
        return letters
    }
}
