package io.ucp.convert;

import io.ucp.io.ByteSource;
import io.ucp.io.ChecksumField;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.DigestRegion;
import io.ucp.plan.Step;
import io.ucp.plan.TargetPlan;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;

/// The digest of a conversion: which bytes of which sources go where, to the last one. Equal where
/// two runs would write the same bytes into the same files in the same windows.
///
/// @param digest SHA-256, hexadecimal
/// @param sources the files that are read: by their path below the checkpoint's folder, or absolute
/// @param read the same as sources of bytes
record Fingerprint(String digest, SequencedMap<String, Path> sources, Collection<ByteSource> read) {
    static Fingerprint of(Prepared prepared) {
        Path folder = prepared.inventory().index().folder().toAbsolutePath().normalize();
        Feed feed = new Feed(folder);
        feed.text(prepared.request().to());
        new TreeMap<>(prepared.request().options()).forEach((k, v) -> feed.text(k + "=" + v));
        prepared.tree().pointers().forEach(p -> feed.text(p.path()).bytes(p.bytes()));
        feed.plan(prepared.plan());
        return new Fingerprint(feed.digest(), feed.sources(), feed.read);
    }

    /// Puts numbers and texts into the digest, each so that it cannot be taken for another.
    private static final class Feed {
        /// Bytes of numbers that wait for the digest, which takes few large updates faster.
        private static final int PENDING = 1 << 13;

        private final Path folder;
        private final MessageDigest sha;
        private final ByteBuffer pending =
                ByteBuffer.allocate(PENDING).order(ByteOrder.LITTLE_ENDIAN);
        private final Map<Path, Integer> known = new HashMap<>();
        private final SequencedMap<String, Path> sources = new LinkedHashMap<>();
        private final List<ByteSource> read = new ArrayList<>();

        Feed(Path folder) {
            this.folder = folder;
            try {
                this.sha = MessageDigest.getInstance("SHA-256");
            } catch (NoSuchAlgorithmException e) {
                throw new IllegalStateException("every JVM has SHA-256", e);
            }
        }

        Feed number(long value) {
            if (pending.remaining() < Long.BYTES) {
                flush();
            }
            pending.putLong(value);
            return this;
        }

        Feed bytes(byte[] bytes) {
            number(bytes.length);
            if (pending.remaining() < bytes.length) {
                flush();
            }
            if (pending.remaining() < bytes.length) {
                sha.update(bytes);
            } else {
                pending.put(bytes);
            }
            return this;
        }

        private void flush() {
            sha.update(pending.flip());
            pending.clear();
        }

        Feed text(String text) {
            return bytes(text.getBytes(StandardCharsets.UTF_8));
        }

        /// A source by its number, said in full where it comes up first.
        void source(ByteSource source) {
            Integer number = known.get(source.path());
            if (number == null) {
                number = known.size();
                known.put(source.path(), number);
                Path path = source.path().toAbsolutePath().normalize();
                String name =
                        path.startsWith(folder)
                                ? folder.relativize(path).toString()
                                : path.toString();
                sources.put(name, path);
                read.add(source);
                text(name);
            }
            number(number).number(source.size());
        }

        void plan(CopyPlan plan) {
            number(plan.targets().size());
            plan.targets().forEach(this::target);
        }

        private void target(TargetPlan target) {
            text(target.path()).number(target.size()).number(target.steps().size());
            target.assembler().ifPresent(a -> a.cuts().forEach(this::number));
            for (ChecksumField field : target.checksums().items()) {
                number(field.from()).number(field.size());
                field.at().forEach(this::number);
            }
            for (DigestRegion region : target.digests().items()) {
                number(region.base()).number(region.width()).number(region.label());
                region.moves().forEachNumber(this::number);
            }
            target.steps().forEach(this::step);
        }

        private void step(Step step) {
            number(step.offset()).number(step.size());
            switch (step) {
                case Step.Literal(long _, byte[] bytes) -> bytes(bytes);
                case Step.Fill _ -> number(0);
                case Step.Bytes(long _, var source, long at, long _) -> {
                    source(source);
                    number(at);
                }
                case Step.Elements elements -> {
                    text(elements.of().parameter()).text(elements.of().state());
                    text(elements.from().torchName()).text(elements.to().torchName());
                    elements.copies().forEach(this::copy);
                    elements.kept().ifPresent(kept -> copy(kept.copy()));
                }
            }
        }

        private void copy(Step.Copy copy) {
            text(copy.rule().name()).number(copy.origins().items().size());
            for (Step.Origin origin : copy.origins().items()) {
                source(origin.source());
                number(origin.base());
                origin.moves().forEachNumber(this::number);
            }
        }

        String digest() {
            flush();
            return HexFormat.of().formatHex(sha.digest());
        }

        SequencedMap<String, Path> sources() {
            return sources;
        }
    }
}
