//! One process per data folder (F42): the second is told who holds it, commands go through the first, and a holder that
//! died leaves nothing to clean up.

use super::server::{Settings, is_signal};
use super::world::{Keeping, World};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Output;

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f42_a_second_process_is_turned_away_and_commands_go_through_the_first() {
    let world = World::new(Keeping::Sqlite).await;
    let server = world.server.start_ready().await;
    for arguments in [&["dev", "--listen", "127.0.0.1:0"][..], &["migrate"]] {
        let second = world.server.run(arguments).await;
        let line = last_line(&second);
        assert_eq!(second.status.code(), Some(75), "{arguments:?}: {line}");
        assert!(line.contains("another ordermill process") && line.contains(&format!("pid {}", server.pid)), "{line}");
    }
    // Nobody else can open the store, so an answer comes from the server.
    for arguments in [&["orders", "list"][..], &["queue", "list"], &["inbox", "list"], &["fsck"]] {
        let through = world.server.run(arguments).await;
        assert!(through.status.success(), "{arguments:?}: {through:?}");
    }
    assert!(is_signal(server.end().await, 9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_died_leaves_nothing_to_clean_up() {
    let world = World::new(Keeping::Sqlite).await;
    let server = world.server.start_ready().await;
    let old = server.pid;
    server.end().await;
    assert!(world.server.data.join("control.sock").exists(), "the socket of the dead process still lies there");
    let alone = world.server.run(&["orders", "list"]).await;
    assert!(alone.status.success(), "{alone:?}");
    let next = Settings::new(world.server.data.clone(), world.server.log.clone()).start_ready().await;
    let second = world.server.run(&["migrate"]).await;
    assert_eq!(second.status.code(), Some(75));
    assert!(last_line(&second).contains(&format!("pid {}", next.pid)), "not {old}, which is dead: {}", last_line(&second));
    next.stop().await;
    assert!(!world.server.data.join("control.sock").exists(), "a server that is stopped takes its socket away");
}

/// On Postgres nothing but the socket itself says that a data folder is somebody's already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_leaves_the_control_socket_to_the_first() {
    let world = World::new(Keeping::Postgres).await;
    let first = world.server.start_ready().await;
    let socket = world.server.data.join("control.sock");
    let owner = |path: &Path| std::fs::metadata(path).expect("the socket is there").ino();
    let bound = owner(&socket);
    let others = Settings::new(world.server.data.clone(), world.beside("second.log"));
    let others = Settings { variables: world.server.variables.clone(), ..others };
    let second = others.start_ready().await;
    assert_eq!(owner(&socket), bound, "the first node's socket is left alone");
    assert!(others.log_tail().contains("another node answers on the control socket"), "{}", others.log_tail());
    second.stop().await;
    assert_eq!(owner(&socket), bound, "whoever did not bind it does not remove it");
    // Nothing listens there: an answer comes from the first node.
    let through = world.server.with("ORDERMILL__STORE__URL", "postgres://127.0.0.1:1/nowhere").run(&["orders", "list"]).await;
    assert!(through.status.success(), "{through:?}");
    first.stop().await;
    assert!(!socket.exists(), "whoever bound it takes it away");
}
