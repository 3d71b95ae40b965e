package io.ucp.convert;

import io.ucp.execute.ExecutionResult;
import io.ucp.execute.Options;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetTree;
import io.ucp.io.NativeFiles;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// A source that has the wanted layout already: the target is its files, byte for byte.
///
/// All of it is read before, as if it were converted: its copies have to agree, its weights have to
/// be their masters, what it keeps of checksums has to fit. Where copies differ, of which a
/// conversion takes the first, a copy would not be what the conversion is, and is not made.
final class CopiedSource {
    private CopiedSource() {}

    /// The target's tree with files of the source in it.
    ///
    /// @param tree the same target, made anew
    /// @return nothing where the source has other files, or some of it would be lost
    static Optional<TargetTree> of(CheckpointIndex index, TargetTree tree) throws IOException {
        Path folder = index.folder();
        String inside = index.tag() + "/";
        Set<String> own = new TreeSet<>();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                own.add(folder.relativize(file).toString().replace('\\', '/'));
            }
        }
        Set<String> made =
                tree.files().stream()
                        .map(TargetFile::path)
                        .filter(path -> path.startsWith(inside))
                        .map(path -> path.substring(inside.length()))
                        .collect(Collectors.toSet());
        if (!tree.losses().isEmpty() || !made.equals(own)) {
            return Optional.empty();
        }
        List<TargetFile> copied = new ArrayList<>();
        for (TargetFile file : tree.files()) {
            copied.add(
                    file.path().startsWith(inside)
                            ? whole(
                                    file.path(),
                                    folder.resolve(file.path().substring(inside.length())))
                            : file);
        }
        return Optional.of(
                new TargetTree(copied, tree.closing(), tree.pointers(), List.of(), List.of()));
    }

    private static TargetFile whole(String path, Path file) throws IOException {
        PlainFile bytes = PlainFile.of(file);
        return new TargetFile(
                path,
                bytes.size(),
                bytes.size() == 0
                        ? List.of()
                        : List.of(new TargetFile.Part.Copied(0, bytes, 0, bytes.size())),
                List.of(),
                Optional.empty());
    }

    /// Reads the source as a conversion does.
    ///
    /// @return nothing where its files are not to be copied
    static Optional<ExecutionResult> read(
            Prepared prepared, Options executing, RunOptions options, Progress progress)
            throws IOException {
        if (prepared.copied().isEmpty()
                || options.unchanged() == RunOptions.Unchanged.ANEW
                || !options.checksWeights()) {
            return Optional.empty();
        }
        ExecutionResult read = PlanExecutor.read(prepared.plan(), executing, progress);
        return read.differences().isEmpty() ? Optional.of(read) : Optional.empty();
    }

    /// The same conversion, which says why it did more than copying.
    static Prepared notCopied(Prepared prepared, ExecutionResult result) {
        if (prepared.copied().isEmpty()) {
            return prepared;
        }
        return prepared.madeAnew(
                result.differences().isEmpty()
                        ? "the source has this layout already; its files were made anew"
                        : "the source has this layout already, and copies in it that differ: its"
                                + " files were made anew, with the first of them");
    }

    /// Whether that is what is to be written.
    static boolean isCopied(Prepared prepared) {
        return prepared.copied().filter(prepared.tree()::equals).isPresent();
    }

    /// Whether files of the source can be cloned into a folder, tried with one of them.
    static boolean clones(Prepared prepared, Path folder) throws IOException {
        Optional<Path> source =
                prepared.tree().files().stream()
                        .flatMap(file -> file.parts().stream())
                        .flatMap(
                                part ->
                                        part instanceof TargetFile.Part.Copied copied
                                                ? Stream.of(copied.source().path())
                                                : Stream.empty())
                        .findFirst();
        if (source.isEmpty()) {
            return false;
        }
        Path tried = Files.createTempFile(folder, "clone", ".tmp");
        try {
            return NativeFiles.clone(source.get(), tried);
        } finally {
            Files.delete(tried);
        }
    }

    /// What came of both: digests of the one, files of the other.
    static ExecutionResult both(ExecutionResult read, ExecutionResult copied) {
        ExecutionResult.Counts first = read.counts();
        ExecutionResult.Counts second = copied.counts();
        return new ExecutionResult(
                read.digests(),
                read.differences(),
                new ExecutionResult.Counts(
                        first.bytesRead() + second.bytesRead(),
                        second.bytesWritten(),
                        second.bytesKept(),
                        second.bytesCloned(),
                        first.sourcesOpened() + second.sourcesOpened(),
                        second.filesWritten(),
                        first.windows() + second.windows()));
    }
}
