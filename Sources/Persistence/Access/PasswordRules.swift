/// Which passwords are taken: long ones, of whatever characters their owner likes, that are not the first that anybody tries.
///
/// After SP 800-63B-4 section 3.1.1.2: at least 12 characters, no rules of composition, no expiry, and a list of what is
/// known to be guessed first.
package enum PasswordRules {
    /// In Unicode scalars.
    package static let length = 12...128

    /// Says what is wrong with a password, in words that never repeat it.
    ///
    /// - Parameter about: the user's e-mail address and name, which a password must not consist of.
    /// - Returns: a code and a sentence without its subject; nil if the password will do.
    package static func fault(
        _ password: String, about personal: [String]
    ) -> (code: String, detail: String)? {
        let count = password.unicodeScalars.count
        if count < length.lowerBound { return ("too_short", "must have at least \(length.lowerBound) characters") }
        if count > length.upperBound { return ("too_long", "must have at most \(length.upperBound) characters") }
        let plain = password.lowercased()
        if Set(plain.unicodeScalars).count < 5 || isRepetition(plain) || isRun(plain) || isCommon(plain) {
            return (
                "common", "is among the first that anybody would guess; take a few words that do not belong together"
            )
        }
        if isMade(of: personal, plain) {
            return ("personal", "consists of the name, the e-mail address or the company's name; take something else")
        }
        return nil
    }

    /// One piece of up to eight characters, again and again.
    private static func isRepetition(_ text: String) -> Bool {
        let scalars = Array(text.unicodeScalars)
        return (1...8).contains { period in
            period * 2 <= scalars.count && scalars.indices.allSatisfy { scalars[$0] == scalars[$0 % period] }
        }
    }

    /// Characters that follow each other in the alphabet, on a keyboard, or in counting.
    private static func isRun(_ text: String) -> Bool {
        runs.contains { $0.contains(text) || String($0.reversed()).contains(text) }
    }

    /// Words that begin or end with digits and signs, as most passwords of leaked lists are.
    private static func isCommon(_ text: String) -> Bool {
        let letters = text.drop { !$0.isLetter }
        let end = letters.lastIndex { $0.isLetter }.map { letters.index(after: $0) } ?? letters.startIndex
        let stem = String(letters[..<end])
        let unmasked = String(stem.map { masks[$0] ?? $0 })
        return common.contains(text) || common.contains(stem) || common.contains(unmasked)
    }

    /// Whether fewer than eight letters and digits are left without the parts of what is known of the user.
    private static func isMade(of personal: [String], _ text: String) -> Bool {
        var rest = text
        let words = personal.map { $0.lowercased() }
        let parts = words + words.flatMap { $0.split { !$0.isLetter && !$0.isNumber }.map(String.init) }
        for part in (parts + company).sorted(by: { $0.count > $1.count }) where part.count >= 3 {
            rest = rest.replacing(part, with: "")
        }
        return rest.count { $0.isLetter || $0.isNumber } < 8 && rest != text
    }

    private static let company = ["neff", "paving", "scheduling", "concrete", "asphalt"]

    private static let runs: [String] = {
        let digits = "0123456789"
        return [
            digits + digits + digits, "1234567890" + "1234567890" + "1234567890",
            "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm",
            "qwertzuiopasdfghjklyxcvbnm", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "1qaz2wsx3edc4rfv5tgb6yhn",
            "qazwsxedcrfvtgbyhnujm", "zaq12wsxcde34rfv", "1234qwerasdfzxcv", "qwer1234asdf5678zxcv",
            "qwerty123456789", "123456qwertyuiop", "abcd1234efgh5678", "abc123def456ghi789",
        ]
    }()

    private static let masks: [Character: Character] = [
        "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i",
    ]

    /// The heads of published lists of leaked passwords, as words without what stands before and after.
    private static let common: Set<String> = [
        "password", "passwort", "passw", "passwd", "pass", "passphrase", "passwordpassword", "mypassword",
        "thepassword",
        "newpassword", "secret", "secretpassword", "qwerty", "qwertyuiop", "qwertyqwerty", "letmein", "letmeinnow",
        "welcome", "welcomeback", "iloveyou", "iloveyousomuch", "admin", "administrator", "adminadmin", "root", "user",
        "username", "login", "guest", "test", "testing", "testtest", "default", "changeme", "changemenow", "temp",
        "temporary", "monkey", "dragon", "master", "sunshine", "princess", "football", "baseball", "basketball",
        "superman",
        "batman", "trustno", "shadow", "michael", "jennifer", "jordan", "liverpool", "chelsea", "arsenal", "starwars",
        "whatever", "computer", "internet", "freedom", "forever", "summer", "winter", "spring", "autumn", "monday",
        "january", "december", "company", "office", "manager", "dispatcher", "correcthorsebatterystaple",
        "correct horse battery staple", "abc", "aa", "a", "qazwsx", "asdfgh", "asdfghjkl", "zxcvbnm", "hello",
        "helloworld",
        "ohio", "zanesville", "buckeyes",
    ]
}
