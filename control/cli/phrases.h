// The words of the page for network operators (evidence.h), each in English and in Chinese.
#pragma once

enum lang { LANG_EN, LANG_ZH, LANG_COUNT };

// No phrase has a place to be filled in: numbers and addresses stand beside them.
#define PHRASES(X)                                                                                 \
	X(TITLE, "Evidence about IPsec VPN traffic between two addresses",                         \
	  "两个地址之间 IPsec VPN 流量的证据")                                                     \
	X(FOR, "To the network operator on the path between them", "致这两个地址之间路径上的网络运营商")   \
	X(WRITTEN, "Written", "编写时间")                                                          \
	X(LOCAL_TIME, "local time", "本地时间")                                                    \
	X(EXAMINED, "Examined", "检测时间")                                                        \
	X(OUR_ADDR, "Our address", "我方地址")                                                     \
	X(PEER_ADDR, "Peer's address", "对端地址")                                                 \
	X(NEXT_HOP, "Our next hop", "我方下一跳")                                                  \
	X(FINDING, "Finding", "结论")                                                              \
	X(MAY_BE, "It may be", "可能是")                                                           \
	X(CONFIDENCE, "Confidence", "可信度")                                                      \
	X(HIGH, "high", "高")                                                                      \
	X(MEDIUM, "medium", "中")                                                                  \
	X(LOW, "low", "低")                                                                        \
	X(NONE, "none", "无")                                                                      \
	X(NOT_KNOWN, "not known", "未知")                                                          \
	X(COUNTS, "Packets counted at our gateway", "我方网关统计的数据包")                        \
	X(SECONDS, "seconds", "秒内")                                                              \
	X(WITHIN, "in the last", "最近")                                                           \
	X(LAST_AT, "the last one at", "最近一次")                                                  \
	X(NEVER, "none since we look", "开始统计以来从未")                                         \
	X(FLOWS, "Packets in question", "涉及的数据包")                                            \
	X(TX_500, "IKE sent to UDP port 500", "发往 UDP 500 端口的 IKE")                           \
	X(TX_4500, "IKE sent to UDP port 4500", "发往 UDP 4500 端口的 IKE")                        \
	X(RX_500, "IKE received on UDP port 500", "在 UDP 500 端口收到的 IKE")                     \
	X(RX_4500, "IKE received on UDP port 4500", "在 UDP 4500 端口收到的 IKE")                  \
	X(UNANSWERED, "requests without an answer", "未得到应答的请求")                            \
	X(PEER_REPEATS, "requests that the peer repeats although we answered",                     \
	  "我方已应答而对端仍在重发的请求")                                                        \
	X(ICMP_ERRORS, "ICMP errors about our packets", "针对我方数据包的 ICMP 差错")              \
	X(ESP_OUT, "ESP sent", "发送的 ESP")                                                       \
	X(ESP_IN, "ESP received", "收到的 ESP")                                                    \
	X(ALL_CAME, "messages to UDP 500 and 4500 from all sources",                               \
	  "来自所有源地址、发往 UDP 500 和 4500 的报文")                                           \
	X(PROBES, "Probes from the same address, and their results", "自同一地址发出的探测及结果") \
	X(NOT_PROBED, "no probes were sent (port500 doctor --probe --evidence sends some)",        \
	  "未发送探测（port500 doctor --probe --evidence 会发送）")                                \
	X(PROBES_AT, "sent until", "发送截至")                                                     \
	X(FROM, "from", "来自")                                                                    \
	X(HOP, "hop", "跳数")                                                                      \
	X(HOP_NONE, "no hop answers", "没有任何一跳应答")                                          \
	X(HOP_PEER, "the peer itself", "即对端本身")                                               \
	X(ECHO, "ICMP echo", "ICMP 回显")                                                          \
	X(ECHO_LARGE, "ICMP echo, large", "ICMP 回显（大包）")                                     \
	X(P500, "IKE to UDP 500, small", "IKE 到 UDP 500（小包）")                                 \
	X(P500_LARGE, "IKE to UDP 500, 1100 bytes", "IKE 到 UDP 500（1100 字节）")                 \
	X(P500_FRAGMENT, "IKE to UDP 500, fragmented", "IKE 到 UDP 500（分片）")                   \
	X(P4500, "IKE to UDP 4500, small", "IKE 到 UDP 4500（小包）")                              \
	X(P4500_LARGE, "IKE to UDP 4500, 1100 bytes", "IKE 到 UDP 4500（1100 字节）")              \
	X(P4500_FRAGMENT, "IKE to UDP 4500, fragmented", "IKE 到 UDP 4500（分片）")                \
	X(ALTERNATIVE, "IKE to another port", "IKE 到其他端口")                                    \
	X(OTHER_SOURCE, "IKE to UDP 500 from another source port",                                 \
	  "自其他源端口发往 UDP 500 的 IKE")                                                       \
	X(ANSWERED, "answered", "有应答")                                                          \
	X(SILENT, "no answer", "无应答")                                                           \
	X(REFUSED, "refused by ICMP", "被 ICMP 拒绝")                                              \
	X(OF_SENT, "answers / sent", "应答数 / 发送数")                                            \
	X(HOPS_500, "Last hop that answers on the way to UDP 500",                                 \
	  "去往 UDP 500 途中最后应答的一跳")                                                       \
	X(HOPS_4500, "Last hop that answers on the way to UDP 4500",                               \
	  "去往 UDP 4500 途中最后应答的一跳")                                                      \
	X(WORKS, "What works between the same two addresses", "同样两个地址之间正常的部分")        \
	X(WORKS_ECHO, "ICMP echo is answered", "ICMP 回显有应答")                                  \
	X(WORKS_500, "IKE on UDP 500 is answered", "UDP 500 上的 IKE 有应答")                      \
	X(WORKS_4500, "IKE on UDP 4500 is answered", "UDP 4500 上的 IKE 有应答")                   \
	X(WORKS_ALTERNATIVE, "IKE on another port is answered", "其他端口上的 IKE 有应答")         \
	X(WORKS_RX_500, "IKE from the peer arrives on UDP 500", "对端的 IKE 能到达 UDP 500")       \
	X(WORKS_RX_4500, "IKE from the peer arrives on UDP 4500", "对端的 IKE 能到达 UDP 4500")    \
	X(WORKS_ESP, "ESP from the peer arrives", "对端的 ESP 能到达")                             \
	X(WORKS_NOTHING, "nothing that we know of", "目前未发现正常的部分")                                \
	X(ASKED, "What we ask of you", "请贵方协助")                                               \
	X(ASK_UDP500,                                                                              \
	  "Please look for filters, access lists, rate limits and DDoS scrubbing of UDP port 500 " \
	  "between these two addresses, by destination and by source port, in both directions, "   \
	  "and exempt these two addresses from them.",                                           \
	  "请检查这两个地址之间针对 UDP 500 端口（目的端口和源端口、两个方向）的过滤、访问控制列表、"  \
	  "限速和 DDoS 清洗，并对这两个地址予以解除。")                                            \
	X(ASK_UDP4500,                                                                             \
	  "Please look for filters and rate limits of UDP port 4500 between these two addresses, " \
	  "in both directions, and exempt these two addresses from them.",                       \
	  "请检查这两个地址之间针对 UDP 4500 端口（两个方向）的过滤和限速，并对这两个地址予以解除。")  \
	X(ASK_SIZE,                                                                                \
	  "Please look for devices that drop large or fragmented UDP packets between these two "   \
	  "addresses, or that do not send ICMP 'fragmentation needed'.",                           \
	  "请检查这两个地址之间是否有设备丢弃较大的或分片的 UDP 包，或不发送 ICMP“需要分片”消息。") \
	X(ASK_ESP,                                                                                 \
	  "Please look for filters of IP protocol 50 (ESP) and of UDP port 4500 between these two " \
	  "addresses, in both directions, and exempt these two addresses from them.",            \
	  "请检查这两个地址之间针对 IP 协议 50（ESP）和 UDP 4500 端口（两个方向）的过滤，"         \
	  "并对这两个地址予以解除。")                                                              \
	X(ASK_REACH,                                                                               \
	  "Please look at the route and the loss between these two addresses, in both directions.", \
	  "请检查这两个地址之间两个方向的路由和丢包情况。")                                        \
	X(ASK_CAPTURE,                                                                             \
	  "If you find none, please capture at both ends of your network for these two addresses " \
	  "and tell us at which hop the packets are last seen.",                                   \
	  "如未发现，请在贵网两端针对这两个地址抓包，并告知数据包最后出现在哪一跳。")              \
	X(NOT_CARRIER,                                                                             \
	  "The evidence does not point to the operator: this page is not meant to be sent.",       \
	  "证据并不指向运营商：本页不应发送。")                                                    \
	X(MAYBE_CARRIER,                                                                           \
	  "One side alone cannot tell where it is lost; the operator's network is one of the "     \
	  "places.",                                                                               \
	  "仅凭单侧证据无法判断丢失位置；运营商网络是可能的位置之一。")                            \
	X(FIND_500, "UDP port 500 is filtered on the way, direction not known",                    \
	  "UDP 500 端口在途中被过滤，方向未知")                                                    \
	X(FIND_500SCRUB, "UDP port 500 is filtered on the way while it is under attack",           \
	  "UDP 500 端口在受攻击期间于途中被过滤")                                                  \
	X(FIND_500OUT, "UDP port 500 from us to the peer is lost on the way",                      \
	  "我方发往对端的 UDP 500 在途中丢失")                                                     \
	X(FIND_500IN, "UDP port 500 from the peer to us is lost on the way",                       \
	  "对端发往我方的 UDP 500 在途中丢失")                                                     \
	X(FIND_500SPORT, "packets with source port 500 are filtered on the way",                   \
	  "源端口为 500 的数据包在途中被过滤")                                                     \
	X(FIND_500LOSS, "part of UDP port 500 is lost: it is rate-limited on the way",             \
	  "UDP 500 部分丢失：途中存在限速")                                                        \
	X(FIND_4500, "UDP port 4500 is filtered on the way, 500 is not",                           \
	  "UDP 4500 端口在途中被过滤，而 500 端口未被过滤")                                        \
	X(FIND_BIGUDP, "large or fragmented UDP packets are lost on the way",                      \
	  "较大的或分片的 UDP 包在途中丢失")                                                       \
	X(FIND_ADMIN, "a filter on the way answers 'administratively prohibited'",                 \
	  "途中有过滤设备应答“管理性禁止”（administratively prohibited）")                                                      \
	X(FIND_UNREACH, "a router says that the peer cannot be reached",                           \
	  "有路由器报告对端不可达")                                                              \
	X(FIND_LOSS, "part of the packets is lost on the way", "部分数据包在途中丢失")             \
	X(FIND_BLACKHOLE, "large packets vanish on the way without an ICMP error",                 \
	  "大包在途中丢失且没有 ICMP 差错")                                                        \
	X(FIND_ONEWAY, "we send ESP and none arrives from the peer",                               \
	  "我方发送 ESP，但收不到对端的 ESP")                                                      \
	X(FIND_UNKNOWN, "cannot be told from one side alone", "仅凭单侧证据无法判断")              \
	X(FIND_OTHER, "see the code", "见代码")

enum phrase {
#define X(id, en, zh) PHRASE_##id,
	PHRASES(X)
#undef X
		PHRASE_COUNT
};

const char *phrase(enum phrase p, enum lang lang);
