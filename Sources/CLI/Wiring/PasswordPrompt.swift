import Foundation

/// Where commands take passwords from: the terminal without echo, or standard input. Never the command line, which every user
/// of the machine can read and shells keep.
enum PasswordPrompt {
    /// Asks twice at a terminal; otherwise takes one line.
    ///
    /// - Throws: `Failure` (`data`) if there is none, or the second differs from the first.
    static func newPassword() throws -> String {
        guard isatty(STDIN_FILENO) == 1 else {
            guard let line = readLine(strippingNewline: true), !line.isEmpty else {
                throw Failure(
                    .data, "Standard input holds no password. Give it in one line, or run this at a terminal.")
            }
            return line
        }
        let password = try ask("New password: ")
        guard try ask("Once more: ") == password else {
            throw Failure(.data, "The two passwords differ. Nothing was changed.")
        }
        return password
    }

    private static func ask(_ prompt: String) throws -> String {
        // getpass(3) puts the terminal back as it was, whatever happens meanwhile.
        guard let text = unsafe getpass(prompt) else {
            throw Failure(.data, "The password cannot be read from the terminal.")
        }
        return unsafe String(cString: text)
    }
}
