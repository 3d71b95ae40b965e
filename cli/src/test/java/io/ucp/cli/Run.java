package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.Arrays;

/// One command run in this process, and what it said.
record Run(int exit, String out, String err) {
    /// Arguments of any kind, by their text.
    static Run ucp(Object... args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        String[] texts = Arrays.stream(args).map(String::valueOf).toArray(String[]::new);
        int exit = Main.run(texts, new PrintWriter(out, true), new PrintWriter(err, true));
        return new Run(exit, lines(out), lines(err));
    }

    private static String lines(StringWriter text) {
        return text.toString().replace(System.lineSeparator(), "\n");
    }

    /// A bundled sample's checkpoint.
    static Path sample(String name) {
        return Path.of("..", "samples", name, "checkpoint");
    }

    Run endsWith(ExitCode code) {
        assertThat(exit).as("exit code; standard error:\n%s", err).isEqualTo(code.code());
        return this;
    }

    /// Ended well and complained of nothing.
    Run isDone() {
        endsWith(ExitCode.DONE);
        assertThat(err).isEmpty();
        return this;
    }

    /// Standard output is one JSON object and nothing else.
    JsonNode json() throws IOException {
        return new ObjectMapper().readTree(out);
    }
}
