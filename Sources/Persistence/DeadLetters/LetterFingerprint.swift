import Messaging

/// What letters that are alike have in common.
package struct LetterFingerprint: Hashable, Sendable {
    package let normalisedError: String
    /// The same error of the same handler at the same type of message, in any build; 16 hexadecimal digits.
    package let cause: String
    /// The cause in one build; 16 hexadecimal digits.
    package let fingerprint: String

    /// - Parameters:
    ///   - errorCode: the error's class; the letter's reason if there is none.
    ///   - build: nil if no worker gave the letter up.
    package init(errorCode: String, errorText: String?, type: String, handler: String, build: String?) {
        normalisedError = ErrorText.normalised(errorText ?? "")
        let parts = [errorCode, normalisedError, type, handler]
        cause = Self.short(parts)
        fingerprint = Self.short(parts + [build ?? ""])
    }

    private static func short(_ parts: [String]) -> String {
        MessageID.hex(MessageID.digest(parts).prefix(8))
    }
}

extension DeadLetter {
    /// Computes what says which letters are alike from everything else in the letter.
    package mutating func takeFingerprint() {
        let print = print
        normalisedError = print.normalisedError
        fingerprint = print.fingerprint
    }

    /// The fingerprint without the build.
    package var cause: String { print.cause }

    private var print: LetterFingerprint {
        LetterFingerprint(
            errorCode: errorCode ?? reason, errorText: errorText, type: type, handler: handler ?? "unknown/\(queue)",
            build: build)
    }
}
