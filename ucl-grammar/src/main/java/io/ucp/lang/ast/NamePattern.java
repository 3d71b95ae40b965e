package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// Which names a rule means. Match with [io.ucp.lang.NameMatcher].
public sealed interface NamePattern {
    Span span();

    /// The capture names, in the order written.
    List<String> captures();

    /// A quoted pattern: text, captures and wildcards in order; neighbours that one piece says are
    /// one.
    record Glob(List<Piece> pieces, Span span) implements NamePattern {
        public Glob {
            pieces = joined(pieces);
        }

        private static List<Piece> joined(List<Piece> pieces) {
            List<Piece> out = new ArrayList<>();
            for (Piece piece : pieces) {
                Optional<Piece> both =
                        out.isEmpty() ? Optional.empty() : joined(out.getLast(), piece);
                both.ifPresent(_ -> out.removeLast());
                out.add(both.orElse(piece));
            }
            return List.copyOf(out);
        }

        private static Optional<Piece> joined(Piece left, Piece right) {
            if (left instanceof Piece.Text(String a) && right instanceof Piece.Text(String b)) {
                return Optional.of(new Piece.Text(a + b));
            }
            if (left instanceof Piece.Any(boolean a) && right instanceof Piece.Any(boolean b)) {
                return Optional.of(new Piece.Any(a || b));
            }
            return Optional.empty();
        }

        /// Whether it is one whole name, without captures and wildcards.
        public boolean isExact() {
            return pieces.stream().allMatch(Piece.Text.class::isInstance);
        }

        @Override
        public List<String> captures() {
            return pieces.stream()
                    .flatMap(
                            piece ->
                                    switch (piece) {
                                        case Piece.Capture(String name, _) -> Stream.of(name);
                                        case Piece.Counted(String name, _) -> Stream.of(name);
                                        case Piece.Text _, Piece.Any _ -> Stream.of();
                                    })
                    .toList();
        }

        /// The same pattern with counted numbers that are no captures put in.
        ///
        /// @param numbers name -> the number that it stands for
        public Glob with(Map<String, Long> numbers) {
            List<Piece> put = new ArrayList<>();
            for (Piece piece : pieces) {
                put.add(
                        piece instanceof Piece.Counted(String name, long more)
                                        && numbers.containsKey(name)
                                ? new Piece.Text(
                                        Long.toString(Math.addExact(numbers.get(name), more)))
                                : piece);
            }
            return new Glob(put, span);
        }

        /// The same pattern with a number in place of a capture, and of what counts from it.
        public Glob with(String capture, long number) {
            List<Piece> put = new ArrayList<>();
            for (Piece piece : with(Map.of(capture, number)).pieces()) {
                put.add(
                        piece instanceof Piece.Capture(String name, _) && name.equals(capture)
                                ? new Piece.Text(Long.toString(number))
                                : piece);
            }
            return new Glob(put, span);
        }

        /// Whether it is one name once its captures are known: without wildcards.
        public boolean isName() {
            return pieces.stream().noneMatch(Piece.Any.class::isInstance);
        }

        /// The name that results when each capture stands for the value given for it; whether it
        /// leads back to them is for [io.ucp.lang.NameMatcher#name].
        ///
        /// @throws IllegalArgumentException when a value is missing, or is no number where one
        ///   counts from it, or the pattern has a wildcard
        public String withCaptures(Map<String, String> values) {
            return pieces.stream().map(piece -> text(piece, values)).collect(Collectors.joining());
        }

        private static String text(Piece piece, Map<String, String> values) {
            return switch (piece) {
                case Piece.Text(String text) -> text;
                case Piece.Capture(String name, _) -> value(name, values);
                case Piece.Counted(String name, long more) ->
                        Long.toString(Math.addExact(Long.parseLong(value(name, values)), more));
                case Piece.Any _ -> throw new IllegalArgumentException("a wildcard names nothing");
            };
        }

        private static String value(String name, Map<String, String> values) {
            String value = values.get(name);
            if (value == null) {
                throw new IllegalArgumentException("no value for {" + name + "}");
            }
            return value;
        }

        public static Glob of(Piece... pieces) {
            return new Glob(List.of(pieces), Span.NONE);
        }

        /// The one name, whatever characters it has.
        public static Glob exact(String name) {
            return name.isEmpty() ? of() : of(new Piece.Text(name));
        }
    }

    /// `re".."`: a regular expression of `java.util.regex` that must match the whole name; its
    /// named groups are captures.
    record Regex(String expression, Span span) implements NamePattern {
        @Override
        public List<String> captures() {
            return RegexGroups.names(expression);
        }

        public static Regex of(String expression) {
            return new Regex(expression, Span.NONE);
        }
    }

    /// A piece of a quoted pattern.
    sealed interface Piece {
        /// Exactly these characters.
        record Text(String text) implements Piece {}

        /// `{name}`: one or more characters without a dot; `{name**}` (`deep`): with dots.
        record Capture(String name, boolean deep) implements Piece {
            public Capture {
                if (!Name.isName(name)) {
                    throw new IllegalArgumentException("'" + name + "' cannot name a capture");
                }
            }
        }

        /// `{name + 2}`: a number that is so much more than what `{name}` captures in the other
        /// name of a rename, or than the number of that name where no name captures it.
        ///
        /// @param more may be negative
        record Counted(String name, long more) implements Piece {
            public Counted {
                if (!Name.isName(name)) {
                    throw new IllegalArgumentException("'" + name + "' cannot name a number");
                }
            }
        }

        /// `*`: any run of characters without a dot, also none; `**` (`deep`): with dots.
        record Any(boolean deep) implements Piece {}
    }
}
