package io.ucp.formats.universal;

import io.ucp.io.MalformedFileException;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// An object of a JSON file, read member by member; what is missing or of another kind is an error
/// that names the member.
final class JsonObject {
    private final Path file;

    /// In the file, e.g. `parameters[3].split`.
    private final String place;

    private final Map<?, ?> members;

    private JsonObject(Path file, String place, Map<?, ?> members) {
        this.file = file;
        this.place = place;
        this.members = members;
    }

    static JsonObject of(Path file, String place, @Nullable Object value)
            throws MalformedFileException {
        if (value instanceof Map<?, ?> members) {
            return new JsonObject(file, place, members);
        }
        throw malformed(file, place, value, "an object");
    }

    String text(String name) throws MalformedFileException {
        return text(name, members.get(name));
    }

    Optional<String> optionalText(String name) throws MalformedFileException {
        Object value = members.get(name);
        return value == null ? Optional.empty() : Optional.of(text(name, value));
    }

    List<String> texts(String name) throws MalformedFileException {
        List<String> out = new ArrayList<>();
        for (Object value : array(name)) {
            out.add(text(name, value));
        }
        return out;
    }

    Map<String, String> textsByName(String name) throws MalformedFileException {
        Map<String, String> out = new LinkedHashMap<>();
        JsonObject object = object(name);
        for (String key : object.names()) {
            out.put(key, object.text(key));
        }
        return out;
    }

    boolean truth(String name) throws MalformedFileException {
        if (members.get(name) instanceof Boolean value) {
            return value;
        }
        throw malformed(file, place(name), members.get(name), "true or false");
    }

    long number(String name) throws MalformedFileException {
        return number(name, members.get(name));
    }

    OptionalLong optionalNumber(String name) throws MalformedFileException {
        Object value = members.get(name);
        return value == null ? OptionalLong.empty() : OptionalLong.of(number(name, value));
    }

    int integer(String name, int from, int to) throws MalformedFileException {
        long value = number(name);
        if (value < from || value > to) {
            throw malformed(file, place(name), value, "%d to %d".formatted(from, to));
        }
        return Math.toIntExact(value);
    }

    long[] numbers(String name) throws MalformedFileException {
        return numbers(name, members.get(name));
    }

    List<List<Long>> lists(String name) throws MalformedFileException {
        List<List<Long>> out = new ArrayList<>();
        for (Object value : array(name)) {
            out.add(java.util.Arrays.stream(numbers(name, value)).boxed().toList());
        }
        return out;
    }

    JsonObject object(String name) throws MalformedFileException {
        return of(file, place(name), members.get(name));
    }

    List<JsonObject> objects(String name) throws MalformedFileException {
        List<JsonObject> out = new ArrayList<>();
        for (Object value : array(name)) {
            out.add(of(file, place(name) + "[" + out.size() + "]", value));
        }
        return out;
    }

    boolean has(String name) {
        return members.containsKey(name);
    }

    List<String> names() {
        return members.keySet().stream().map(String::valueOf).toList();
    }

    /// What is wrong with member `name`.
    MalformedFileException wrong(String name, String found, String expected) {
        return new MalformedFileException(
                file, -1, place(name) + " is " + found, expected, "copy the checkpoint again");
    }

    private List<?> array(String name) throws MalformedFileException {
        return array(name, members.get(name));
    }

    private List<?> array(String name, @Nullable Object value) throws MalformedFileException {
        if (value instanceof List<?> list) {
            return list;
        }
        throw malformed(file, place(name), value, "an array");
    }

    private long[] numbers(String name, @Nullable Object value) throws MalformedFileException {
        List<?> list = array(name, value);
        long[] out = new long[list.size()];
        for (int i = 0; i < out.length; i++) {
            out[i] = number(name, list.get(i));
        }
        return out;
    }

    private String text(String name, @Nullable Object value) throws MalformedFileException {
        if (value instanceof String text) {
            return text;
        }
        throw malformed(file, place(name), value, "a string");
    }

    private long number(String name, @Nullable Object value) throws MalformedFileException {
        if (value instanceof Long number) {
            return number;
        }
        throw malformed(file, place(name), value, "a whole number");
    }

    private String place(String name) {
        return place.isEmpty() ? name : place + "." + name;
    }

    private static MalformedFileException malformed(
            Path file, String place, @Nullable Object found, String expected) {
        String what =
                switch (found) {
                    case null -> "missing";
                    case String text -> "\"" + text + "\"";
                    case Map<?, ?> _ -> "an object";
                    case List<?> _ -> "an array";
                    default -> found.toString();
                };
        return new MalformedFileException(
                file, -1, place + " is " + what, expected, "copy the checkpoint again");
    }
}
