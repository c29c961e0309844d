"""Faults, and the tests that cause them. ``test_catalogue`` holds each name against the tests that there are.

After each of them the oracle judges: the server holds the tree of the last push, each push answered 2xx is final, no
two runs of a service overlapped, no temporary file is left, no secret can be read anywhere.

== ===================================================== ==============================================================
 1 the broker is down when a push comes                  faults/test_waking: no_push_waits_for_a_broker_that_is_down
 2 the broker takes connections and never answers        faults/test_waking: no_push_waits_for_a_broker_that_is_down
 3 no connection to the broker is left                   faults/test_waking: many_pushes_at_once_while_the_broker_hangs
 4 the web process dies after the commit                 faults/test_processes: a_web_server_that_dies_while_it_takes
 5 the web process dies before the commit                faults/test_processes: a_web_server_that_dies_while_it_takes
 6 one delivery twenty times at once                     faults/test_order: the_same_delivery_twenty_times_at_once
 7 a replay under a new id                               faults/test_order: the_same_delivery_twenty_times_at_once
 8 pushes in the wrong order over two web processes      faults/test_order: pushes_out_of_order_over_two_web_servers
 9 a pool process dies in mid-upload                     faults/test_processes: a_worker_killed_in_mid_upload
10 the whole worker dies at any point                    faults/test_seeds: many_seeds
11 a worker is frozen for longer than its lease          faults/test_processes: a_frozen_worker_that_thaws
12 Redis forgets everything                              faults/test_waking: a_redis_that_forgot_everything
13 Redis delivers again before a deploy has ended        faults/test_brokers: redis_whose_visibility_timeout_is_shorter
14 RabbitMQ loses patience with a consumer               faults/test_brokers: rabbitmq_whose_consumer_timeout_is_shorter
15 each message comes many times                         faults/test_waking: the_same_message_many_times_runs_once
16 PostgreSQL crashes while a push comes                 faults/test_processes: a_database_that_crashes_in_mid_deploy
17 PostgreSQL is away for longer than a lease            faults/test_databases: a_database_that_is_away_for_longer
18 each transaction meets another database session       faults/test_databases: pgbouncer_in_transaction_mode
19 many processes write to SQLite; its lock is held      faults/test_databases: sqlite_as_django_opens_it
19 the same: its lock is held                            faults/test_processes: a_sqlite_lock_held_for_long
19 the same: eight processes claim                       deploys/test_databases: of_many_processes_that_claim_one
20 our own disks are full                                faults/test_disks: a_full_disk
21 the FTP server dies and comes back                    kills/test_kills: a_few_seeds
22 the reply to an upload is lost                        kills/test_kills: a_few_seeds
23 the reply to a rename is lost                         transports/test_ftp_faults: a_lost_reply_of_a_rename
24 a data connection leads nowhere                       transports/test_ftp_faults: epsv_that_leads_nowhere
25 the server lets two connections in                    transports/test_ftp_limits: a_refused_connection_fails_nothing
26 425, 426, 450, 451; 452 and 552; 530                  transports/test_ftp_faults: a_transient_refusal_is_tried_again
26 the same: quota                                       transports/test_ftp_faults: a_full_disk_stops_at_once
26 the same: a changed password                          transports/test_ftp_limits: a_wrong_password_is_tried_twice
27 the server's disk is full                             transports/test_ftp_faults: a_real_full_disk
28 packets are lost; the network is away for a while     faults/test_network: packets_are_lost_and_the_network_goes
28 the same: between us and the server alone             kills/test_loss: a_link_that_loses_packets
29 clocks differ by hours; a clock jumps                 faults/test_clocks: workers_an_hour_ahead_and_an_hour_behind
29 the same: a jump                                      faults/test_clocks: a_clock_that_jumps_in_mid_lease
30 workers are stopped, then killed, one after another   faults/test_processes: rolling_restarts_under_a_stream
31 a tree made to harm                                   transports/test_ftp_faults: no_injected_command_reaches
32 a PASV reply that names another host                  transports/test_ftp_faults: the_host_that_pasv_names_is_ignored
33 a force push; a branch or commit that is gone         faults/test_order: a_force_push_goes_live_as_it_is
33 the same: a commit that is gone                       repository/test_git: a_commit_that_vanished_gives_the_head
34 the server's certificate or host key changes          transports/test_ftps: a_certificate_that_changes_midway
34 the same: a host key                                  transports/test_sftp: a_key_that_changes_in_between_stops
35 a secret in a log, a message, a row, a dump           faults/oracle: leaks
36 large files in little memory                          repository/test_git: a_large_file_takes_little_memory
37 a deploy that kills its worker each time              faults/test_processes: a_deploy_that_kills_its_worker_is_parked
38 a worker is asked to stop                             faults/test_processes: a_worker_asked_to_stop
39 a forge, a server, a mail server says nothing then    faults/test_processes: a_silent_mail_server_holds_up_no_stop
40 MariaDB instead of PostgreSQL                         faults/test_databases: mariadb
41 quorum queues                                         faults/test_brokers: quorum_queues_as_the_documentation
42 a large deploy before a small one                     faults/test_brokers: a_queue_of_its_own_keeps_a_large_deploy
== ===================================================== ==============================================================
"""
