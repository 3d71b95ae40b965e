package io.ucp.cli;

import io.ucp.convert.RunOptions;
import io.ucp.formats.RefusedException;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.parity.Grouping;
import io.ucp.snapshot.Snapshots;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// `ucp snapshot`: the process beside a training job.
@Command(
        name = "snapshot",
        description = {
            "Look after the checkpoints that a job saves: protect each with parity, copy it to slow"
                    + " storage in the background, keep the newest."
        },
        footer = {
            "",
            "Runs until it is stopped, and outlives the job. Example, with checkpoints in memory:",
            "  ucp snapshot /dev/shm/ckpt --keep 2 --protect 4+2 --flush-to /lustre/ckpt --max-rate"
                    + " 500MB/s"
        })
final class Snapshot extends Reporting {
    private static final Pattern CODE = Pattern.compile("([0-9]{1,3})\\+([0-9]{1,3})");
    private static final long LOOK_MILLIS = 1000;

    @Parameters(
            paramLabel = "DIR",
            description = "The folder that the job saves into, with `latest` or its like.")
    private Path root;

    @Option(
            names = "--every",
            paramLabel = "WHICH",
            defaultValue = "new",
            description = "Which checkpoints; new: each as soon as it is committed.")
    private String every;

    @Option(
            names = "--keep",
            paramLabel = "N",
            defaultValue = "0",
            description =
                    "Remove all but the newest N from DIR, with their parity; with --flush-to only"
                            + " what was flushed. All are kept if not given.")
    private int keep;

    @Option(
            names = "--protect",
            paramLabel = "K+M",
            description = "Write parity: --data K --parity M of `ucp protect`.")
    private Optional<String> code = Optional.empty();

    @Option(
            names = "--group",
            paramLabel = "WHAT",
            defaultValue = "files",
            description = "As of `ucp protect`.")
    private String group;

    @Option(
            names = "--parity-to",
            paramLabel = "DIR",
            description = "Where parity goes, a folder for each checkpoint; DIR-parity beside DIR.")
    private Optional<Path> parityTo = Optional.empty();

    @Option(
            names = "--flush-to",
            paramLabel = "DIR2",
            description = "Copy each checkpoint there, whole or not at all, the pointer last.")
    private Optional<Path> flushTo = Optional.empty();

    @Option(
            names = "--max-rate",
            paramLabel = "RATE",
            description = "How fast to copy, such as 500MB/s.")
    private Optional<String> rate = Optional.empty();

    @Option(
            names = "--settled",
            paramLabel = "SECONDS",
            defaultValue = "5",
            description = "How long a checkpoint's files must not have changed: ${DEFAULT-VALUE}.")
    private int settled;

    @Option(
            names = "--once",
            description = "Look once and end: with 1 where there was nothing that is finished.")
    private boolean once;

    @Mixin private WorkOptions work;

    @Override
    ExitCode run() throws IOException {
        Snapshots.Wishes wishes = wishes();
        if (json() && !once) {
            throw usage("--json is one object at the end; expected it with --once");
        }
        List<Snapshots.Event> events = new ArrayList<>();
        RunOptions options = work.running(Thread.currentThread()::isInterrupted);
        Snapshots snapshots =
                new Snapshots(
                        wishes,
                        options,
                        InstantSource.system(),
                        event -> {
                            events.add(event);
                            if (!json()) {
                                print(event);
                            }
                        });
        if (!once) {
            return watch(snapshots);
        }
        boolean finished = snapshots.look();
        if (json()) {
            Json.print(
                    out(),
                    fields -> {
                        fields.writeBooleanField("finished", finished);
                        Json.objects(
                                fields,
                                "events",
                                events,
                                (each, event) -> {
                                    each.writeStringField("tag", event.tag());
                                    each.writeStringField("what", event.what());
                                    each.writeNumberField("bytes", event.bytes());
                                    each.writeNumberField(
                                            "seconds", event.took().toMillis() / 1000.0);
                                });
                    });
        }
        if (!finished && !json()) {
            printWaiting();
        }
        return finished ? ExitCode.DONE : ExitCode.DIFFERENCE;
    }

    private void printWaiting() {
        out().println(
                        "waiting   %s: no checkpoint is committed there, or its files are not settled"
                                .formatted(Printable.of(root.toString())));
        out().flush();
    }

    /// Until the process is stopped. What goes wrong is told once, and tried again.
    private ExitCode watch(Snapshots snapshots) {
        Set<String> told = new HashSet<>();
        boolean waits = true;
        while (!Thread.currentThread().isInterrupted()) {
            boolean failed = false;
            try {
                if (!snapshots.look() && waits) {
                    printWaiting();
                }
                waits = false;
            } catch (IOException
                    | UncheckedIOException
                    | RefusedException
                    | ImpossibleLayoutException e) {
                failed = true;
                tell(e, told);
            }
            if (!failed && !snapshots.owes()) {
                told.clear(); // the next one is another
            }
            try {
                Thread.sleep(LOOK_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
        return ExitCode.DONE;
    }

    /// What went wrong, and what went wrong besides.
    private void tell(Exception thrown, Set<String> told) {
        for (Throwable each :
                Stream.concat(Stream.of(thrown), Stream.of(thrown.getSuppressed())).toList()) {
            String text = text(Failure.of(each));
            if (told.add(text)) {
                err().println(text);
            }
        }
    }

    private static String text(Failure failure) {
        String hint = failure.hint().map(h -> "\nhint: " + Printable.lines(h)).orElse("");
        return "ucp snapshot: " + Printable.lines(failure.message()) + hint;
    }

    private void print(Snapshots.Event event) {
        out().println(
                        "%-9s %s: %s in %s"
                                .formatted(
                                        event.what(),
                                        Printable.of(event.tag()),
                                        Quantity.bytes(event.bytes()),
                                        Quantity.duration(event.took())));
        out().flush();
    }

    private Snapshots.Wishes wishes() {
        if (!every.equals("new")) {
            throw usage("--every is '%s'; expected new".formatted(Printable.of(every)));
        }
        if (keep < 0 || settled < 0) {
            throw usage("--keep %d --settled %d; expected 0 or more each".formatted(keep, settled));
        }
        Path folder = root.toAbsolutePath().normalize();
        return new Snapshots.Wishes(
                folder,
                keep,
                Duration.ofSeconds(settled),
                code.map(text -> parity(text, folder)),
                flushTo.map(to -> to.toAbsolutePath().normalize()),
                rate.map(this::rate).orElse(0L));
    }

    private Snapshots.Parity parity(String text, Path folder) {
        Matcher of = CODE.matcher(text);
        int data = of.matches() ? Integer.parseInt(of.group(1)) : 0;
        int parity = of.matches() ? Integer.parseInt(of.group(2)) : 0;
        if (data < 1 || parity < 1 || data + parity > 256) {
            throw usage(
                    "--protect is '%s'; expected K+M such as 4+2, at most 256 together"
                            .formatted(Printable.of(text)));
        }
        Grouping grouping =
                Grouping.parse(group)
                        .orElseThrow(
                                () ->
                                        usage(
                                                "--group is '%s'; expected an axis such as dp, or node=N"
                                                        .formatted(Printable.of(group))));
        Path to = parityTo.orElseGet(() -> folder.resolveSibling(folder.getFileName() + "-parity"));
        return new Snapshots.Parity(to.toAbsolutePath().normalize(), grouping, data, parity);
    }

    private long rate(String text) {
        return Quantity.rate(text)
                .orElseThrow(
                        () ->
                                usage(
                                        "--max-rate is '%s'; expected such as 500MB/s"
                                                .formatted(Printable.of(text))));
    }

    private ParameterException usage(String message) {
        return new ParameterException(spec().commandLine(), message);
    }
}
