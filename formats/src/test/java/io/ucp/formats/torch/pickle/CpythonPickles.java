package io.ucp.formats.torch.pickle;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;

/// Pickles that CPython wrote, by name and protocol.
record CpythonPickles(String name, int protocol, byte[] bytes) {
    static final Path FILE = Path.of("data.pkl");

    static List<CpythonPickles> all() {
        try (InputStream in = CpythonPickles.class.getResourceAsStream("cpython.txt")) {
            if (in == null) {
                throw new IllegalStateException("no cpython.txt");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .filter(line -> !line.startsWith("#"))
                    .map(line -> line.split(" ", 3))
                    .map(
                            f ->
                                    new CpythonPickles(
                                            f[0],
                                            Integer.parseInt(f[1]),
                                            Base64.getDecoder().decode(f[2])))
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static PickleValue read(String name, int protocol) throws IOException {
        for (CpythonPickles each : all()) {
            if (each.name().equals(name) && each.protocol() == protocol) {
                return each.tree();
            }
        }
        throw new IllegalArgumentException(name + " " + protocol);
    }

    PickleValue tree() throws IOException {
        return PickleReader.read(FILE, 0, bytes);
    }

    @Override
    public String toString() {
        return name + ", protocol " + protocol;
    }
}
